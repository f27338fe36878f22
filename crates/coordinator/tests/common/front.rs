//! Clients served on loops, as the gateway serves them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use openpeta_coordinator::Coordinators;
use openpeta_relay_io::{
    Accepted, CloseReason, Disposition, Handler, Io, Listener, LoopConfig, Loops, StreamId,
};
use openpeta_types::InstanceId;

/// Loops before a coordinator; dropping it ends all sessions on them.
pub struct Front {
    pub address: SocketAddr,
    _loops: Loops<()>,
}

impl Front {
    pub fn start(coordinators: &Arc<Coordinators>, instance: &InstanceId) -> Self {
        let (coordinators, instance) = (Arc::clone(coordinators), instance.clone());
        let relay = move |_| Relay {
            coordinators: Arc::clone(&coordinators),
            instance: instance.clone(),
            others: HashMap::new(),
        };
        let loops = Loops::start(2, LoopConfig::default(), relay).expect("loops");
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = Listener::bind(any).expect("a port");
        let address = listener.local();
        loops.listen(listener, 1);
        Self {
            address,
            _loops: loops,
        }
    }
}

struct Relay {
    coordinators: Arc<Coordinators>,
    instance: InstanceId,
    others: HashMap<StreamId, StreamId>,
}

impl Handler for Relay {
    type Command = ();

    fn accepted(&mut self, io: &mut dyn Io, stream: StreamId, _from: Accepted) {
        let Some(service) = self.coordinators.local(&self.instance) else {
            return io.close(stream);
        };
        let other = io.serve(0, service);
        io.pair(stream, other);
        self.others.insert(stream, other);
        self.others.insert(other, stream);
    }

    fn connected(&mut self, _io: &mut dyn Io, _stream: StreamId, _tag: u64) {}

    fn received(
        &mut self,
        _io: &mut dyn Io,
        stream: StreamId,
        _tag: u64,
        bytes: &mut [u8],
    ) -> Disposition {
        match self.others.get(&stream) {
            Some(to) => Disposition::Forward {
                to: *to,
                range: 0..bytes.len(),
            },
            None => Disposition::Consumed,
        }
    }

    fn ended(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64) {
        self.end(io, stream);
    }

    fn closed(&mut self, io: &mut dyn Io, stream: StreamId, _tag: u64, _why: CloseReason) {
        self.end(io, stream);
    }

    fn timer(&mut self, _io: &mut dyn Io, _token: u64) {}

    fn command(&mut self, _io: &mut dyn Io, (): ()) {}
}

impl Relay {
    fn end(&mut self, io: &mut dyn Io, stream: StreamId) {
        if let Some(other) = self.others.remove(&stream) {
            self.others.remove(&other);
            io.close_after_flush(other);
            io.close_after_flush(stream);
        }
    }
}
