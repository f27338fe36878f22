//! Random ids and passwords, made before a workflow begins so that its steps can be repeated.

use openpeta_types::{EndpointId, InstanceId, NodeId, RequestId, Secret};
use ring::rand::{SecureRandom, SystemRandom};

use crate::ControlError;

/// Random bytes from the operating system.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], ControlError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ControlError::unavailable("the system's random source failed"))?;
    Ok(bytes)
}

/// A text of `length` letters and digits, close to 6 bits each.
pub(crate) fn alphanumeric<const N: usize>() -> Result<String, ControlError> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // 248 is the largest multiple of 62 in a byte: beyond it some letters would be likelier.
        let usable = bytes::<N>()?.into_iter().filter(|&byte| byte < 248);
        let letters = usable.map(|byte| char::from(ALPHABET[usize::from(byte) % 62]));
        text.extend(letters.take(N - text.len()));
    }
    Ok(text)
}

/// A password for an account on its node, known to no client.
pub(crate) fn backend_password() -> Result<Secret, ControlError> {
    Ok(Secret::new(alphanumeric::<32>()?))
}

/// An id for a command that did not come through the API.
pub(crate) fn request_id() -> Result<RequestId, ControlError> {
    Ok(RequestId::from_random(bytes()?))
}

/// A new instance's id.
pub(crate) fn instance_id() -> Result<InstanceId, ControlError> {
    Ok(InstanceId::from_random(bytes()?))
}

/// A new node's id.
pub(crate) fn node_id() -> Result<NodeId, ControlError> {
    Ok(NodeId::from_random(bytes()?))
}

/// A new endpoint's id.
pub(crate) fn endpoint_id() -> Result<EndpointId, ControlError> {
    Ok(EndpointId::from_random(bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_their_length_and_differ() {
        let (one, other) = (alphanumeric::<32>(), alphanumeric::<32>());
        let (one, other) = (one.expect("random"), other.expect("random"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
