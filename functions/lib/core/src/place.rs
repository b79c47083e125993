//! Where things are: an account and a Region, by names that AWS gives.

use crate::error::Failure;
use crate::task_definition::Home;

/// The partition that a Region belongs to.
fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// The ARN of a role in the account of a place.
#[must_use]
pub fn role_arn(place: &Home, name: &str) -> String {
    format!(
        "arn:{}:iam::{}:role/{name}",
        partition(place.region.as_str()),
        place.account
    )
}

/// The place of a resource, by its ARN. None for what is no ARN, or has no account or no Region.
#[must_use]
pub fn of_arn(arn: &str) -> Option<Home> {
    let mut parts = arn.strip_prefix("arn:")?.split(':').skip(2);
    let (region, account) = (parts.next()?, parts.next()?);
    Some(Home {
        account: account.parse().ok()?,
        region: region.parse().ok()?,
    })
}

/// Whether an event that happened in an account and Region may be about a resource: one of another place is none of its
/// business.
///
/// # Errors
/// Why not, for people.
pub fn check_event(account: &str, region: &str, arn: &str) -> Result<(), String> {
    match of_arn(arn) {
        Some(place) if (place.account.as_str(), place.region.as_str()) == (account, region) => Ok(()),
        Some(place) => Err(format!(
            "an event of account {account}, `{region}` says something about a resource of account {}, `{}`",
            place.account, place.region
        )),
        None => Err(format!(
            "an event of account {account}, `{region}` is about something that is no resource of an account"
        )),
    }
}

/// Whether a deployment into an environment at `of` may be carried out by whoever acts at `here`; none is home. The
/// names of clusters and services mean something else in every other place.
///
/// # Errors
/// `Refused` when its place is not reached any more; `Defect` when it is taken for one of elsewhere.
pub fn check_here(deployment_id: &str, of: Option<&Home>, here: Option<&Home>) -> Result<(), Failure> {
    match of {
        _ if of == here => Ok(()),
        Some(place) => Err(Failure::refused(format!(
            "deployment `{deployment_id}` is in account {}, `{}`, which can no longer be reached: deploy the stack with the parameter `TargetExternalId` again",
            place.account, place.region
        ))),
        None => Err(Failure::defect(format!(
            "deployment `{deployment_id}` is at home, and somebody carries it out elsewhere"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_deployment_is_carried_out_in_its_own_place_and_nowhere_else() {
        let there = of_arn("arn:aws:ecs:eu-west-1:210987654321:cluster/a").unwrap();
        let other = of_arn("arn:aws:ecs:eu-west-1:321098765432:cluster/a").unwrap();
        let kind = |of, here| check_here("shop-1", of, here).map_err(|failure| failure.kind);
        assert_eq!(kind(None, None), Ok(()));
        assert_eq!(kind(Some(&there), Some(&there)), Ok(()));
        // The connection was taken away while it was under way: nothing of the same name at home is touched.
        assert_eq!(kind(Some(&there), None), Err(ErrorKind::Refused));
        assert_eq!(kind(Some(&there), Some(&other)), Err(ErrorKind::Refused));
        assert_eq!(kind(None, Some(&there)), Err(ErrorKind::Defect));
    }

    #[test]
    fn a_resource_says_where_it_is() {
        let place = of_arn("arn:aws:ecs:eu-west-1:210987654321:service/shop/web").unwrap();
        assert_eq!(
            (place.account.as_str(), place.region.as_str()),
            ("210987654321", "eu-west-1")
        );
        for other in [
            "gates/shop-1",
            "arn:aws:iam::210987654321:role/a",
            "arn:aws:ecs:eu-west-1:12:service/a",
        ] {
            assert_eq!(of_arn(other), None, "{other}");
        }
    }

    #[test]
    fn roles_lie_in_the_partition_of_their_region() {
        let place = |region: &str| Home {
            account: "210987654321".parse().unwrap(),
            region: region.parse().unwrap(),
        };
        for (region, arn) in [
            ("eu-west-1", "arn:aws:iam::210987654321:role/a"),
            ("cn-north-1", "arn:aws-cn:iam::210987654321:role/a"),
            ("us-gov-west-1", "arn:aws-us-gov:iam::210987654321:role/a"),
        ] {
            assert_eq!(role_arn(&place(region), "a"), arn);
        }
    }

    #[test]
    fn an_event_speaks_of_its_own_place_only() {
        let task = "arn:aws:ecs:eu-west-1:210987654321:task/shop/1";
        assert_eq!(check_event("210987654321", "eu-west-1", task), Ok(()));
        assert!(check_event("111111111111", "eu-west-1", task).is_err());
        assert!(check_event("210987654321", "us-east-1", task).is_err());
        assert!(check_event("210987654321", "eu-west-1", "task").is_err());
    }
}
