//! SwitchInstanceNetType.

use openpeta_control::MutatingCall;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle(call: &Call<'_>, change: &MutatingCall) -> Outcome {
    let response = call
        .control
        .switch_instance_net_type(change, &call.parse()?)?;
    Ok(call.render(&response))
}
