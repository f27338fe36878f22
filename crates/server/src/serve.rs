//! The process: configuration, log, signals.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::config::Config;
use crate::service::HandOver;
use crate::{ServeError, Service, logging, notify, successor};

/// What the command line says.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The configuration file; none takes the defaults.
    pub config: Option<PathBuf>,
    /// In place of `[api] http_listen`.
    pub http_listen: Option<SocketAddr>,
    /// In place of `[api] https_listen`.
    pub https_listen: Option<SocketAddr>,
    /// Take over from the process that serves the data directory, if there is one.
    pub replace: bool,
}

/// Serves until SIGTERM or SIGINT, and then stops in good order; a second signal ends it at
/// once. SIGHUP reads the certificates and the token of the metrics again. SIGUSR2 starts the program anew to take over from
/// this process, which then ends with its last session. Prints the line `ready http=… https=…` on
/// standard output when it serves, and on the very first start how to go on.
///
/// # Errors
/// [`ServeError`], whose text is for the operator and whose
/// [`exit_code`](ServeError::exit_code) is for the process.
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let mut config = options
        .config
        .as_deref()
        .map_or(Ok(Config::default()), Config::read)?;
    config.api.http_listen = options.http_listen.unwrap_or(config.api.http_listen);
    config.api.https_listen = options.https_listen.unwrap_or(config.api.https_listen);
    config.check()?;
    let _flush = logging::start(&config.log)?;
    logging::log_panics();
    let system = |what| move |reason| ServeError::System { what, reason };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("api")
        .build()
        .map_err(system("starting threads"))?;
    let result = runtime.block_on(async {
        let mut stop = StopSignals::new().map_err(system("handling signals"))?;
        let mut hangup = signal(SignalKind::hangup()).map_err(system("handling signals"))?;
        let mut replace =
            signal(SignalKind::user_defined2()).map_err(system("handling signals"))?;
        let dir = &options.data_dir;
        let start = async {
            match options.replace {
                true => Service::replace(dir, config).await,
                false => Service::start(dir, config).await,
            }
        };
        let mut service = tokio::select! {
            started = start => started?,
            () = stop.recv() => return Ok(()),
        };
        announce(&service);
        notify::ready();
        loop {
            let link = tokio::select! {
                () = stop.recv() => break,
                _ = hangup.recv() => {
                    service.reload();
                    continue;
                }
                _ = replace.recv() => {
                    successor::start();
                    continue;
                }
                link = service.successor() => link,
            };
            // Signals wait: it ends soon, and this process then is or is not the service.
            match service.hand_over(link).await {
                HandOver::Resumed(resumed) => service = *resumed,
                HandOver::Retired(retired) => {
                    retired.run(stop.recv()).await;
                    return Ok(());
                }
                HandOver::Failed(error) => return Err(error),
            }
        }
        notify::stopping();
        tokio::select! {
            () = service.stop() => {}
            () = stop.recv() => warn!("told to stop once more; ending at once"),
        }
        Ok(())
    });
    // Threads that block, if any are left, end with the process.
    runtime.shutdown_background();
    result
}

/// The signals that end the service.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    async fn recv(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "told to stop");
    }
}

/// Says where the service is, in a line that a script can wait for.
fn announce(service: &Service) {
    let mut out = std::io::stdout().lock();
    // Standard output may be closed; the service does not depend on it.
    let _ = writeln!(
        out,
        "ready http=http://{} https=https://{}",
        service.http_address(),
        service.https_address()
    );
    if service.default_tenant().is_new {
        let _ = writeln!(out, "{}", first_steps(service.data_dir()));
    }
    let _ = out.flush();
}

fn first_steps(data_dir: &Path) -> String {
    format!(
        "
Order your first instance in another terminal; it asks for the account's password:
  export OPENPETA_DATA_DIR={}
  openpeta create-instance --db-name app --account-name app --wait
  openpeta connect
Clients of the API find endpoint, CA and access key in credentials.json in that directory.",
        data_dir.display()
    )
}
