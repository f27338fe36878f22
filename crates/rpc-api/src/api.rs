//! What a typed action consists of.

use crate::{Action, ApiError, FieldWriter, Params};

/// The typed request of an available action.
pub trait ApiRequest: Sized {
    /// The action that it belongs to.
    const ACTION: Action;
    /// The answer to it.
    type Response: ApiResponse;

    /// Reads and checks the action's parameters: everything that can be told without looking
    /// at any object.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the action's parameter table, a missing
    /// parameter before a malformed one.
    fn from_params(params: &Params) -> Result<Self, ApiError>;
}

/// The typed answer of an available action.
pub trait ApiResponse {
    /// About how many bytes the answer takes; only saves growing the buffer.
    fn size_hint(&self) -> usize {
        512
    }

    /// Writes the fields, all but RequestId, which every answer has.
    fn write<W: FieldWriter>(&self, writer: &mut W);
}

/// The answer of an action that returns nothing but its RequestId.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyResponse;

impl ApiResponse for EmptyResponse {
    fn write<W: FieldWriter>(&self, _writer: &mut W) {}
}
