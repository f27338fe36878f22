//! Places where tests make a task fail or crash.

use openpeta_types::TaskId;

use crate::StepError;

/// Where a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookPoint {
    /// The step is recorded as running, but did nothing yet.
    BeforeRun,
    /// The step succeeded, but that is not recorded.
    AfterRun,
    /// The step is recorded as done.
    AfterRecord,
    /// The undo did nothing yet.
    BeforeUndo,
    /// The undo succeeded, but that is not recorded.
    AfterUndo,
}

/// What happens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAction {
    /// Nothing.
    Continue,
    /// The step, or its undo, fails in this way.
    Fail(StepError),
    /// The task stops dead, as if the process had been killed; the next start resumes it.
    Abort,
}

/// Is asked at each [`HookPoint`].
pub trait Hooks: Send + Sync + 'static {
    /// Says what happens at a point of a step.
    fn at(&self, task: TaskId, workflow: &str, step: &str, point: HookPoint) -> HookAction;
}

/// Lets everything happen as it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn at(&self, _task: TaskId, _workflow: &str, _step: &str, _point: HookPoint) -> HookAction {
        HookAction::Continue
    }
}

#[cfg(debug_assertions)]
pub use fail_point::{FailPoint, FailPointError};

/// A fail point for tests of the whole program; release builds do not have it.
#[cfg(debug_assertions)]
mod fail_point {
    use super::{HookAction, HookPoint, Hooks};
    use crate::StepError;
    use openpeta_types::TaskId;
    use thiserror::Error;

    /// Kills the process, or fails the step, at some points: `<workflow>/<step>/<point>` with
    /// `=abort` (the default) or `=fail` behind it, several of them with commas between, so
    /// that a step can fail and the undoing of another be killed; points are `before-run`,
    /// `after-run`, `after-record`, `before-undo` and `after-undo`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FailPoint(Vec<Place>);

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Place {
        workflow: String,
        step: String,
        point: HookPoint,
        abort: bool,
    }

    /// A fail point is not written as it should be.
    #[derive(Clone, Debug, PartialEq, Eq, Error)]
    #[error("{0:?} is not <workflow>/<step>/<point>[=abort|fail]")]
    pub struct FailPointError(String);

    impl FailPoint {
        /// The environment variable that names fail points.
        pub const VARIABLE: &str = "OPENPETA_FAIL_POINT";

        /// Reads [`VARIABLE`](Self::VARIABLE); `None` when it is not set.
        ///
        /// # Errors
        /// [`FailPointError`].
        pub fn from_env() -> Result<Option<Self>, FailPointError> {
            match std::env::var(Self::VARIABLE) {
                Ok(text) => Self::parse(&text).map(Some),
                Err(_) => Ok(None),
            }
        }

        /// Reads fail points.
        ///
        /// # Errors
        /// [`FailPointError`].
        pub fn parse(text: &str) -> Result<Self, FailPointError> {
            let places: Result<_, _> = text.split(',').map(Place::parse).collect();
            Ok(Self(places?))
        }
    }

    impl Place {
        fn parse(text: &str) -> Result<Self, FailPointError> {
            let malformed = || FailPointError(text.to_owned());
            let (place, action) = text.split_once('=').unwrap_or((text, "abort"));
            let parts: Vec<_> = place.split('/').collect();
            let &[workflow, step, point] = parts.as_slice() else {
                return Err(malformed());
            };
            let point = match point {
                "before-run" => HookPoint::BeforeRun,
                "after-run" => HookPoint::AfterRun,
                "after-record" => HookPoint::AfterRecord,
                "before-undo" => HookPoint::BeforeUndo,
                "after-undo" => HookPoint::AfterUndo,
                _ => return Err(malformed()),
            };
            let abort = match action {
                "abort" => true,
                "fail" => false,
                _ => return Err(malformed()),
            };
            Ok(Self {
                workflow: workflow.into(),
                step: step.into(),
                point,
                abort,
            })
        }
    }

    impl Hooks for FailPoint {
        fn at(&self, _task: TaskId, workflow: &str, step: &str, point: HookPoint) -> HookAction {
            let here = |place: &&Place| {
                place.workflow == workflow && place.step == step && place.point == point
            };
            let Some(place) = self.0.iter().find(here) else {
                return HookAction::Continue;
            };
            if place.abort {
                std::process::abort();
            }
            HookAction::Fail(StepError::permanent(
                "The operation failed at a fail point.",
                format!("fail point at {workflow}/{step}"),
            ))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn fail_points_are_read() {
            let point = FailPoint::parse("create-instance/start-node/after-run=fail").unwrap();
            let task = TaskId::from_number(1);
            let at = |step, at| point.at(task, "create-instance", step, at);
            assert!(matches!(
                at("start-node", HookPoint::AfterRun),
                HookAction::Fail(StepError::Permanent { .. })
            ));
            assert_eq!(at("start-node", HookPoint::BeforeRun), HookAction::Continue);
            assert_eq!(at("other", HookPoint::AfterRun), HookAction::Continue);
            assert!(FailPoint::parse("a/b/before-run").unwrap().0[0].abort);
            let several = "a/b/before-undo=fail,create-instance/start-node/after-run=fail";
            assert_eq!(FailPoint::parse(several).unwrap().0[1], point.0[0]);
            for bad in [
                "",
                "a/b",
                "a/b/sometimes",
                "a/b/after-run=explode",
                "a/b/c/d",
                "a/b/before-run,",
            ] {
                assert!(FailPoint::parse(bad).is_err(), "{bad}");
            }
        }
    }
}
