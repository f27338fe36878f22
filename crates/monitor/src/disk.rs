//! All that the archive does to files, so that tests can end it at any byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes to files. In tests, up to a point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) fault: Option<tests::Fault>,
}

impl Disk {
    /// Appends to a file. What was written of it when it fails is for the caller to cut off.
    pub(crate) fn append(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(fault) = &self.fault {
            let (whole, failure) = fault.spend(bytes.len());
            file.write_all(&bytes[..whole])?;
            return failure;
        }
        file.write_all(bytes)
    }

    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.change()?;
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        fs::rename(from, to)?;
        match to.parent() {
            Some(dir) if !cfg!(test) => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        fs::remove_file(path)
    }

    pub(crate) fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        #[cfg(test)]
        if let Some(fault) = &self.fault {
            fault.may_cut()?;
        }
        file.set_len(length)
    }

    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        self.change()?;
        // Tests end the archive, not the machine.
        if cfg!(test) { Ok(()) } else { file.sync_data() }
    }

    fn change(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(fault) = &self.fault {
            return fault.spend(1).1;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{self, ErrorKind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What is left until everything fails: bytes, and one for any other change.
    #[derive(Clone, Debug)]
    pub(crate) struct Fault {
        pub(crate) left: Arc<AtomicUsize>,
        /// A full disk lets files be cut; a crash lets nothing be done.
        pub(crate) is_crash: bool,
    }

    impl Fault {
        /// How much can be done, and the failure if that is not all.
        pub(super) fn spend(&self, wanted: usize) -> (usize, io::Result<()>) {
            let left = self.left.load(Ordering::Relaxed);
            let done = wanted.min(left);
            self.left.store(left - done, Ordering::Relaxed);
            let failure = ErrorKind::StorageFull.into();
            (done, if done < wanted { Err(failure) } else { Ok(()) })
        }

        pub(super) fn may_cut(&self) -> io::Result<()> {
            if self.is_crash {
                self.spend(1).1
            } else {
                Ok(())
            }
        }
    }
}
