//! The gateway: lets clients in, logs them in to their instance's node and relays between them.
//! It holds no metadata of its own; the control plane tells it the routes.

pub mod session;
