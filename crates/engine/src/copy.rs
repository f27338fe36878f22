//! Copies a data directory fast and durably, and makes the files of a template sparse.
//!
//! A fresh data directory is mostly zeros: 34 MB of which about 6 MB are content. The template
//! has holes in their place; a copy moves only the content and reserves the rest.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom as StdSeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::fs::{FallocateFlags, Gid, SeekFrom, Uid};
use rustix::io::Errno;

use crate::error::{AtPath, Result};

/// Threads that copy.
const COPIERS: usize = 2;

/// Threads that wait for the disk to confirm: what waits together is confirmed together.
const SYNCERS: usize = 16;

/// Holes smaller than this are not worth a seek.
const HOLE_BYTES: usize = 64 << 10;

/// Copies a tree of directories and plain files. When it returns, the copy is on disk; the
/// entry of `to` in its parent is not.
///
/// Directories get mode 0700, files 0660 as MariaDB makes them; `owner` is their new owner.
pub(crate) fn copy_tree(from: &Path, to: &Path, owner: Option<(Uid, Gid)>) -> Result<()> {
    let mut tree = Tree::default();
    tree.collect(from, to)?;
    for (_, dir) in &tree.dirs {
        DirBuilder::new()
            .mode(0o700)
            .create(dir)
            .at("create", dir)?;
    }
    let copied = Mutex::new(Vec::with_capacity(tree.files.len()));
    share_out(COPIERS, &tree.files, |(from, to)| {
        let file = copy_file(from, to, owner)?;
        copied
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((file, to));
        Ok(())
    })?;
    let copied = copied.into_inner().unwrap_or_else(PoisonError::into_inner);
    share_out(SYNCERS, &copied, |(file, path)| {
        file.sync_all().at("sync", path)
    })?;
    for (_, dir) in tree.dirs.iter().rev() {
        let handle = File::open(dir).at("open", dir)?;
        if let Some((uid, gid)) = owner {
            rustix::fs::fchown(&handle, Some(uid), Some(gid)).at("give away", dir)?;
        }
        handle.sync_all().at("sync", dir)?;
    }
    Ok(())
}

/// Has a tree of directories and plain files on disk.
pub(crate) fn sync_tree(dir: &Path) -> Result<()> {
    let mut tree = Tree::default();
    tree.collect(dir, dir)?;
    share_out(SYNCERS, &tree.files, |(path, _)| {
        File::open(path)
            .and_then(|file| file.sync_all())
            .at("sync", path)
    })?;
    for (dir, _) in tree.dirs.iter().rev() {
        crate::template::sync_dir(dir)?;
    }
    Ok(())
}

/// Does the work for every item on some threads; the first error of any of them.
fn share_out<'a, T: Sync>(
    threads: usize,
    items: &'a [T],
    work: impl Fn(&'a T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let take_turns = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(items.len()))
            .map(|_| scope.spawn(take_turns))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("the work does not panic"))
    })
}

#[derive(Default)]
struct Tree {
    /// Parents before children.
    dirs: Vec<(PathBuf, PathBuf)>,
    files: Vec<(PathBuf, PathBuf)>,
}

impl Tree {
    fn collect(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.dirs.push((from.to_owned(), to.to_owned()));
        for entry in fs::read_dir(from).at("list", from)? {
            let entry = entry.at("list", from)?;
            let kind = entry.file_type().at("look at", &entry.path())?;
            let target = to.join(entry.file_name());
            if kind.is_dir() {
                self.collect(&entry.path(), &target)?;
            } else if kind.is_file() {
                self.files.push((entry.path(), target));
            }
        }
        Ok(())
    }
}

fn copy_file(from: &Path, to: &Path, owner: Option<(Uid, Gid)>) -> Result<File> {
    let source = File::open(from).at("open", from)?;
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o660)
        .open(to)
        .at("create", to)?;
    // Sharing the blocks costs nothing where the file system can do it.
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        copy_content(&source, &target).at("copy to", to)?;
    }
    if let Some((uid, gid)) = owner {
        rustix::fs::fchown(&target, Some(uid), Some(gid)).at("give away", to)?;
    }
    Ok(target)
}

/// Copies what is not a hole, and reserves room for what is.
fn copy_content(source: &File, target: &File) -> rustix::io::Result<()> {
    let length = rustix::fs::fstat(source)?.st_size.cast_unsigned();
    rustix::fs::ftruncate(target, length)?;
    if length >= HOLE_BYTES as u64 {
        match rustix::fs::fallocate(target, FallocateFlags::empty(), 0, length) {
            // Not every file system reserves; MariaDB does without as well.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    let mut offset = 0;
    while offset < length {
        let data = match rustix::fs::seek(source, SeekFrom::Data(offset)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(data))?;
        copy_range(source, target, data, end)?;
        offset = end;
    }
    Ok(())
}

fn copy_range(source: &File, target: &File, start: u64, end: u64) -> rustix::io::Result<()> {
    let (mut read_at, mut write_at) = (start, start);
    while read_at < end {
        let length = usize::try_from(end - read_at).unwrap_or(usize::MAX);
        let copied = rustix::fs::copy_file_range(
            source,
            Some(&mut read_at),
            target,
            Some(&mut write_at),
            length,
        )?;
        if copied == 0 {
            // The source became shorter while it was copied.
            return Err(Errno::IO);
        }
    }
    Ok(())
}

/// Rewrites the large files of a tree so that blocks of zeros become holes.
pub(crate) fn make_sparse(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).at("list", dir)? {
        let entry = entry.at("list", dir)?;
        let path = entry.path();
        let meta = entry.metadata().at("look at", &path)?;
        if meta.is_dir() {
            make_sparse(&path)?;
        } else if meta.is_file() && meta.len() >= 2 * HOLE_BYTES as u64 {
            make_file_sparse(&path)?;
        }
    }
    Ok(())
}

fn make_file_sparse(path: &Path) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".sparse");
    let sparse = path.with_file_name(name);
    let mut source = File::open(path).at("open", path)?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&sparse)
        .at("create", &sparse)?;
    let mut chunk = vec![0; HOLE_BYTES];
    let mut length = 0;
    loop {
        let filled = read_full(&mut source, &mut chunk).at("read", path)?;
        if filled == 0 {
            break;
        }
        if chunk[..filled].iter().any(|&byte| byte != 0) {
            target
                .seek(StdSeekFrom::Start(length))
                .and_then(|_| target.write_all(&chunk[..filled]))
                .at("write", &sparse)?;
        }
        length += filled as u64;
    }
    target.set_len(length).at("resize", &sparse)?;
    fs::rename(&sparse, path).at("replace", path)
}

/// Reads until the buffer is full or the file ends.
fn read_full(source: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_copy_has_the_same_content_with_and_without_holes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("sub")).expect("create");
        let mut content = vec![0; 1 << 20];
        content[300_000..300_010].copy_from_slice(b"some words");
        content.push(7);
        fs::write(from.join("large"), &content).expect("write");
        fs::write(from.join("zeros"), vec![0; 1 << 20]).expect("write");
        fs::write(from.join("sub/small"), "text").expect("write");
        fs::write(from.join("empty"), "").expect("write");
        make_sparse(&from).expect("make sparse");
        let blocks = fs::metadata(from.join("large"))
            .expect("still there")
            .blocks();
        assert!(blocks * 512 < 512 << 10, "{blocks} blocks are no hole");

        let to = dir.path().join("to");
        copy_tree(&from, &to, None).expect("copy");
        assert_eq!(fs::read(to.join("large")).expect("copied"), content);
        assert_eq!(
            fs::read(to.join("zeros")).expect("copied"),
            vec![0; 1 << 20]
        );
        assert_eq!(fs::read(to.join("sub/small")).expect("copied"), b"text");
        assert_eq!(fs::read(to.join("empty")).expect("copied"), b"");
        let mode = fs::metadata(&to).expect("copied").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn an_existing_copy_is_not_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).expect("create");
        fs::create_dir(&to).expect("create");
        let error = copy_tree(&from, &to, None).expect_err("it exists");
        assert!(error.to_string().contains("create"), "{error}");
    }
}
