//! The token buckets that Amazon ECS keeps per account and Region, following "Request throttling for the Amazon ECS
//! API".

use std::collections::BTreeMap;

use jiff::Timestamp;

/// One group of operations that share a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Bucket {
    TaskDefinitionModify,
    TaskDefinitionRead,
    ClusterResourceModify,
    FargateRunTask,
    ClusterResourceRead,
    ServiceModify,
    ServiceRead,
    ServiceDeployments,
    ServiceRevisions,
    TagsModify,
    TagsRead,
}

impl Bucket {
    /// The buckets an operation draws from. Operations outside the published table draw from none.
    fn of(operation: &str) -> &'static [Bucket] {
        match operation {
            "RegisterTaskDefinition" | "DeregisterTaskDefinition" => &[Self::TaskDefinitionModify],
            "DescribeTaskDefinition" | "ListTaskDefinitions" | "ListTaskDefinitionFamilies" => {
                &[Self::TaskDefinitionRead]
            }
            "RunTask" => &[Self::ClusterResourceModify, Self::FargateRunTask],
            "StopTask" => &[Self::ClusterResourceModify],
            "DescribeTasks" | "ListTasks" => &[Self::ClusterResourceRead],
            "CreateService" | "UpdateService" | "DeleteService" => &[Self::ServiceModify],
            "DescribeServices" | "ListServices" => &[Self::ServiceRead],
            "DescribeServiceDeployments" | "ListServiceDeployments" => &[Self::ServiceDeployments],
            "DescribeServiceRevisions" => &[Self::ServiceRevisions],
            "TagResource" => &[Self::TagsModify],
            "ListTagsForResource" => &[Self::TagsRead],
            _ => &[],
        }
    }

    /// How many requests fit at once.
    fn burst(self) -> u32 {
        match self {
            Self::ClusterResourceModify | Self::ClusterResourceRead | Self::ServiceRead => 100,
            Self::TaskDefinitionRead
            | Self::ServiceModify
            | Self::ServiceDeployments
            | Self::ServiceRevisions
            | Self::TagsRead => 50,
            Self::TaskDefinitionModify | Self::FargateRunTask | Self::TagsModify => 20,
        }
    }

    /// How many requests flow back per second.
    fn refill_per_second(self) -> u32 {
        match self {
            Self::ClusterResourceModify => 40,
            Self::ServiceModify => 5,
            Self::TagsModify => 10,
            Self::TaskDefinitionModify => 1,
            Self::TaskDefinitionRead
            | Self::FargateRunTask
            | Self::ClusterResourceRead
            | Self::ServiceRead
            | Self::ServiceDeployments
            | Self::ServiceRevisions
            | Self::TagsRead => 20,
        }
    }
}

/// The fill of one bucket, in thousandths of a request so that it refills by the millisecond.
#[derive(Debug, Clone, Copy)]
struct Level {
    millitokens: u64,
    at: Timestamp,
}

/// All buckets of the account.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    levels: BTreeMap<Bucket, Level>,
}

impl Throttle {
    /// Whether the request may pass. It takes one token from each of its buckets, or none from any.
    pub(crate) fn admits(&mut self, operation: &str, now: Timestamp) -> bool {
        let buckets = Bucket::of(operation);
        for bucket in buckets {
            self.refill(*bucket, now);
        }
        let full_enough = |bucket: &Bucket| self.levels.get(bucket).is_some_and(|level| level.millitokens >= 1000);
        if !buckets.iter().all(full_enough) {
            return false;
        }
        for bucket in buckets {
            if let Some(level) = self.levels.get_mut(bucket) {
                level.millitokens -= 1000;
            }
        }
        true
    }

    fn refill(&mut self, bucket: Bucket, now: Timestamp) {
        let brim = u64::from(bucket.burst()) * 1000;
        let level = self.levels.entry(bucket).or_insert(Level {
            millitokens: brim,
            at: now,
        });
        let milliseconds = u64::try_from(now.duration_since(level.at).as_millis()).unwrap_or(0);
        level.millitokens = (level.millitokens + milliseconds * u64::from(bucket.refill_per_second())).min(brim);
        level.at = now;
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn registration_bursts_to_twenty_and_then_flows_at_one_per_second() {
        let mut throttle = Throttle::default();
        let mut now: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let admitted = (0..30)
            .filter(|_| throttle.admits("RegisterTaskDefinition", now))
            .count();
        assert_eq!(admitted, 20);
        now += SignedDuration::from_millis(999);
        assert!(
            !throttle.admits("DeregisterTaskDefinition", now),
            "both operations share the bucket"
        );
        now += SignedDuration::from_millis(1);
        assert!(throttle.admits("RegisterTaskDefinition", now));
        assert!(!throttle.admits("RegisterTaskDefinition", now));
    }

    #[test]
    fn a_refused_request_takes_no_token_from_its_other_bucket() {
        let mut throttle = Throttle::default();
        let now: Timestamp = "2026-11-02T09:00:00Z".parse().unwrap();
        let admitted = (0..200).filter(|_| throttle.admits("RunTask", now)).count();
        assert_eq!(admitted, 20);
        assert_eq!((0..200).filter(|_| throttle.admits("StopTask", now)).count(), 80);
    }
}
