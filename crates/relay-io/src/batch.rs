//! The scheduling class of a loop's thread.

/// Has the kernel treat the calling thread as one that computes (`SCHED_BATCH`): it does not
/// interrupt who runs when it is woken. A loop then finds what several streams have brought
/// meanwhile, and serves it with one system call. It gets no less time than before.
///
/// # Errors
///
/// What the kernel reports; the thread then goes on as it was.
#[allow(unsafe_code, reason = "libc has no safe form of it")]
pub(crate) fn prefer_throughput() -> std::io::Result<()> {
    let calling_thread = 0;
    let no_priority = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is read before the call returns, and kept by nobody.
    let set = unsafe {
        libc::sched_setscheduler(calling_thread, libc::SCHED_BATCH, &raw const no_priority)
    };
    if set == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::prefer_throughput;

    #[test]
    fn the_thread_is_told_apart() {
        std::thread::spawn(|| {
            prefer_throughput().unwrap();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // proc_pid_stat(5): field 41 is the policy; 3 is SCHED_BATCH. The name may have blanks.
            let (_, fields) = stat.rsplit_once(')').unwrap();
            assert_eq!(fields.split_whitespace().nth(41 - 3), Some("3"));
        })
        .join()
        .unwrap();
    }
}
