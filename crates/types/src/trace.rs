//! Where in which trace something is, as W3C Trace Context has it.

use std::fmt;

use crate::RequestId;

/// A place in a trace: what is begun from there has it as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    is_sampled: bool,
}

/// Which traces are kept: this share of them, chosen by their ids, so that every service that sees
/// a trace chooses alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRatio(f64);

impl SamplingRatio {
    /// A share from 0 to 1.
    #[must_use]
    pub fn new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// By the last seven bytes, the part of an id that is certainly random.
    fn chooses(self, trace_id: [u8; 16]) -> bool {
        let random = (0xff_ffff_ffff_ffff & u128::from_be_bytes(trace_id)) as f64;
        random < self.0 * (1_u64 << 56) as f64
    }
}

impl TraceContext {
    /// Reads a `traceparent` header; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once('-')?;
        let [version] = hex(version)?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (span_id, rest) = rest.split_once('-')?;
        // Versions to come may have more behind the flags.
        let flags = match rest.split_once('-') {
            Some((flags, _)) if version != 0 => flags,
            Some(_) => return None,
            None => rest,
        };
        let [flags] = hex(flags)?;
        let its = Self {
            trace_id: hex(trace_id)?,
            span_id: hex(span_id)?,
            is_sampled: flags & 1 == 1,
        };
        let is_valid = version != 0xff && its.trace_id != [0; 16] && its.span_id != [0; 8];
        is_valid.then_some(its)
    }

    /// The place of a call: in the caller's trace, else in one whose id is the RequestId.
    #[must_use]
    pub fn of_call(request_id: RequestId, caller: Option<Self>, ratio: SamplingRatio) -> Self {
        let id = request_id.bytes();
        let root = Self {
            trace_id: id,
            span_id: [0; 8],
            is_sampled: ratio.chooses(id),
        };
        let id = u128::from_be_bytes(id);
        caller
            .unwrap_or(root)
            .child(&[(id >> 64) as u64, id as u64])
    }

    /// The root of a trace that nobody called for; the same numbers give the same.
    #[must_use]
    pub fn root(numbers: &[u64], ratio: SamplingRatio) -> Self {
        let (high, low) = (mixed(1, numbers), mixed(2, numbers));
        let trace_id = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        Self {
            trace_id,
            span_id: mixed(3, numbers).to_be_bytes(),
            is_sampled: ratio.chooses(trace_id),
        }
    }

    /// A place below this one; the same numbers give the same, in every process.
    #[must_use]
    pub fn child(&self, numbers: &[u64]) -> Self {
        let parent = u64::from_be_bytes(self.span_id);
        Self {
            span_id: mixed(parent, numbers).to_be_bytes(),
            ..*self
        }
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span in it.
    #[must_use]
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// Whether the trace is kept.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

/// As a `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (
            u128::from_be_bytes(self.trace_id),
            u64::from_be_bytes(self.span_id),
        );
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

/// So many bytes in lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Numbers mixed into one that is not 0 (SplitMix64).
fn mixed(seed: u64, numbers: &[u64]) -> u64 {
    let step = |state: u64| {
        let mut mixed = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let all = numbers.iter();
    all.fold(step(seed), |state, number| step(state ^ number))
        .max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn ratio(ratio: f64) -> SamplingRatio {
        SamplingRatio::new(ratio).expect("a share")
    }

    #[test]
    fn headers_are_read_as_the_standard_says() {
        let its = TraceContext::parse(PARENT).expect("right");
        assert!(its.is_sampled());
        assert_eq!(its.to_string(), PARENT);
        let later = PARENT.replace("00-4b", "01-4b") + "-more";
        assert_eq!(TraceContext::parse(&later), Some(its));
        let not = TraceContext::parse(&PARENT.replace("-01", "-02")).expect("right");
        assert!(!not.is_sampled());
        for wrong in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &PARENT.replace("00-4b", "ff-4b"),
            &format!("{PARENT}-more"),
            &PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT[..54],
            &PARENT.replace("4bf", "4b"),
            &PARENT.replace("4bf", "4bé"),
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_call_is_found_by_its_request_id_or_its_callers_trace() {
        let id = RequestId::from_random([0xa7; 16]);
        let own = TraceContext::of_call(id, None, ratio(1.0));
        let trace = format!("{:032x}", u128::from_be_bytes(own.trace_id()));
        assert_eq!(
            id.to_string().replace('-', "").to_lowercase(),
            trace,
            "the RequestId"
        );
        assert_ne!(own.span_id(), [0; 8]);
        let caller = TraceContext::parse(PARENT).expect("right");
        let theirs = TraceContext::of_call(id, Some(caller), ratio(0.0));
        assert_eq!(theirs.trace_id(), caller.trace_id());
        assert_ne!(theirs.span_id(), caller.span_id());
        assert!(theirs.is_sampled(), "the caller decides");
    }

    #[test]
    fn children_differ_and_are_the_same_each_time() {
        let root = TraceContext::root(&[1, 2], ratio(1.0));
        assert_eq!(root, TraceContext::root(&[1, 2], ratio(1.0)));
        let spans: HashSet<_> = (0..1000)
            .flat_map(|number| [root.child(&[number]), root.child(&[number, 0])])
            .map(|child| child.span_id())
            .collect();
        assert_eq!(spans.len(), 2000);
    }

    #[test]
    fn the_ratio_is_kept() {
        assert!(SamplingRatio::new(-0.1).is_none() && SamplingRatio::new(1.1).is_none());
        assert!(SamplingRatio::new(f64::NAN).is_none());
        let chosen = |share| {
            let all = (0..10_000).map(|number| TraceContext::root(&[number], ratio(share)));
            all.filter(TraceContext::is_sampled).count()
        };
        assert_eq!((chosen(0.0), chosen(1.0)), (0, 10_000));
        let tenth = chosen(0.1);
        assert!((800..1200).contains(&tenth), "{tenth}");
    }
}
