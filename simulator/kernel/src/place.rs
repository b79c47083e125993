//! Places: an account in a Region, and what each has for itself.

use std::mem::swap;
use std::sync::Arc;

use crate::{Alarms, Image, Images, Kernel, Logs, Metrics, Principal, Resolution, Sites, Targets};

/// An account in a Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Such as `us-east-1`.
    pub region: String,
}

impl Place {
    /// A place by the two names.
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
        }
    }

    /// The place of a resource of a Region, by its ARN.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.split(':').skip(3);
        let (region, account) = (parts.next()?, parts.next()?);
        (!region.is_empty() && !account.is_empty()).then(|| Self::new(account, region))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "account {} in {}", self.account, self.region)
    }
}

/// What a place has for itself while the kernel stands elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    alarms: Alarms,
    images: Images,
    logs: Logs,
    metrics: Metrics,
    targets: Targets,
    sites: Sites,
}

impl Kernel {
    /// Where it began.
    #[must_use]
    pub fn home(&self) -> &Arc<Place> {
        &self.home
    }

    /// Where it stands.
    #[must_use]
    pub fn here(&self) -> &Arc<Place> {
        &self.here
    }

    /// Goes to a place, with everything that it has. For the world only.
    pub fn enter(&mut self, place: &Arc<Place>) {
        if *place == self.here {
            return;
        }
        let mut ground = self.grounds.remove(place).unwrap_or_default();
        swap(&mut self.alarms, &mut ground.alarms);
        swap(&mut self.images, &mut ground.images);
        swap(&mut self.logs, &mut ground.logs);
        swap(&mut self.metrics, &mut ground.metrics);
        swap(&mut self.targets, &mut ground.targets);
        swap(&mut self.sites, &mut ground.sites);
        let left = std::mem::replace(&mut self.here, Arc::clone(place));
        self.grounds.insert(left, ground);
    }

    /// Goes back to where it began. For the world only.
    pub fn go_home(&mut self) {
        if self.here != self.home {
            let home = Arc::clone(&self.home);
            self.enter(&home);
        }
    }

    /// The owner of the account that it stands in.
    #[must_use]
    pub fn administrator(&self) -> Principal {
        if self.here.account == self.home.account {
            Principal::Administrator
        } else {
            Principal::AdministratorOf(self.here.account.clone())
        }
    }

    /// The role of an account, as the one who calls.
    #[must_use]
    pub fn role(&self, account: &str, name: &str) -> Principal {
        if account == self.home.account {
            Principal::Role(name.to_owned())
        } else {
            Principal::RoleOf {
                account: account.to_owned(),
                role: name.to_owned(),
            }
        }
    }

    /// The account that a principal belongs to; a service belongs to where it calls from.
    #[must_use]
    pub fn account_of<'a>(&'a self, principal: &'a Principal) -> &'a str {
        match principal {
            Principal::Administrator | Principal::Role(_) => &self.home.account,
            Principal::AdministratorOf(account) | Principal::RoleOf { account, .. } => account,
            Principal::Service(_) => &self.here.account,
        }
    }

    /// The image that a container's `image` names, for a task that runs here:
    /// `{account}.dkr.ecr.{region}.amazonaws.com/{repository}` followed by `:{tag}` or `@{digest}`. `None` for
    /// images of other registries than ECR, which the scheduler treats as always there. An image of another account is
    /// there for those accounts that the policy of its repository names.
    #[must_use]
    pub fn resolve_image(&self, reference: &str) -> Option<Resolution<'_>> {
        let (registry, path) = reference.split_once('/')?;
        let (account, rest) = registry.split_once(".dkr.ecr.")?;
        let region = rest.strip_suffix(".amazonaws.com")?;
        let place = Place::new(account, region);
        if place == *self.here {
            return Some(self.images.resolve(path));
        }
        let images = self.grounds.get(&place).map(|ground| &ground.images);
        let shared = images.filter(|images| account == self.here.account || images.is_shared(path, &self.here.account));
        let image: Option<&Image> = shared.and_then(|images| images.resolve(path).image);
        Some(Resolution { image })
    }
}
