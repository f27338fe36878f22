//! Which lines of a file are whose.

/// Which rows of a file a node has, by their places in it: a byte for most of them.
#[derive(Debug, Default)]
pub struct Places {
    /// From each to the next, seven bits a byte, the lowest first.
    steps: Vec<u8>,
    last: Option<usize>,
}

impl Places {
    /// One more, behind the others.
    pub fn push(&mut self, place: usize) {
        let mut step = place - self.last.map_or(0, |last| last + 1);
        self.last = Some(place);
        while step >= 0x80 {
            self.steps.push(step as u8 | 0x80);
            step >>= 7;
        }
        self.steps.push(step as u8);
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<usize> {
        let mut all = Vec::new();
        let (mut next, mut step, mut shift) = (0, 0_usize, 0);
        for byte in &self.steps {
            step |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                all.push(next + step);
                next += step + 1;
                (step, shift) = (0, 0);
            }
        }
        all
    }
}
