//! Limits of accounts, set while they work.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use crate::support::{
    OTHER_PASSWORD, OTHER_USER, PASSWORD, Raw, Setup, USER, capabilities, eventually,
};
use openpeta_types::route::AccountLimits;

fn limit(setup: &mut Setup, connections: u32, queries_per_second: u32) {
    let limits = AccountLimits {
        connections,
        queries_per_second,
    };
    setup.publish(|route| route.limits = HashMap::from([(USER.to_owned(), limits)]));
}

/// The session of a client that got in, or the error.
fn enter(setup: &Setup) -> Result<Raw, u16> {
    let mut raw = Raw::greeted(setup.address);
    match raw
        .try_login(USER, PASSWORD, "shop", capabilities())
        .error()
    {
        None => Ok(raw),
        Some(code) => Err(code),
    }
}

#[test]
fn sessions_of_an_account() {
    let mut setup = Setup::start();
    limit(&mut setup, 3, 0);
    let barrier = Barrier::new(12);
    let entered: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    enter(&setup)
                })
            })
            .collect();
        let joined = clients.into_iter().map(|client| client.join().unwrap());
        joined.collect()
    });
    let mut sessions: Vec<_> = entered.into_iter().filter_map(Result::ok).collect();
    assert_eq!(sessions.len(), 3);
    assert_eq!(enter(&setup).err(), Some(1226));
    Raw::login(setup.address, OTHER_USER, OTHER_PASSWORD, "shop").quit();
    // Who leaves makes room.
    sessions.pop().unwrap().quit();
    eventually("there is room", || match enter(&setup) {
        Ok(raw) => {
            raw.quit();
            true
        }
        Err(code) => {
            assert_eq!(code, 1226);
            false
        }
    });
    // A lower limit ends nobody, none lets everybody in.
    limit(&mut setup, 1, 0);
    assert_eq!(enter(&setup).err(), Some(1226));
    for session in &mut sessions {
        assert_eq!(session.execute("DO 1").error(), None);
    }
    setup.publish(|route| route.limits.clear());
    assert!(enter(&setup).is_ok());
}

#[test]
fn statements_of_an_account() {
    let mut setup = Setup::start();
    let mut raw = setup.raw();
    limit(&mut setup, 0, 1);
    // Two cannot both be the first of their second for ever.
    let mut refused = false;
    for _ in 0..1000 {
        let reply = raw.execute("DO 1");
        if reply.error() == Some(1226) {
            refused = true;
            break;
        }
        assert_eq!(reply.error(), None);
    }
    assert!(refused);
    setup.publish(|route| route.limits.clear());
    for _ in 0..20 {
        assert_eq!(raw.execute("DO 1").error(), None);
    }
}
