//! Esclusa on the simulated AWS: the real template, the real state machines and the real handlers, with the pipelines
//! of five real applications.
//!
//! [`Lab`] is the whole of it on the caller's thread, for tests and for a run that ends. The program `lab` serves the
//! same world on the loopback interface, so that the command `esclusa` and the AWS CLI can be tried on it.

mod deployer;
pub mod example;
pub mod explorer;
pub mod images;
mod lab;
pub mod oracle;
pub mod registry;
pub mod target;
pub mod walk;

pub use deployer::{Beside, DEPLOYER, InstallError, install, repository};
pub use lab::{AT_GATE, Answer, Lab, is_at_work, is_moving, is_settled, push_example};
