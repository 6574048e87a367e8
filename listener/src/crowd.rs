//! All connections of a listener: their limits, and which connection is closed when a new client needs a place.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::{Activity, Dispensable};
use super::complaint::{CloseReason, Complaints};
use super::waiters::Waiters;
use cairn_protocol::env::Env;

/// How long the head of a first request may take before its connection may be closed for another one: some round
/// trips of a distant client.
const HEAD_GRACE: Duration = Duration::from_millis(500);

/// Interval at which a full listener checks whether a connection has become dispensable.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// An examination of all connections chooses this share of them (one in 64) as the next ones to close, so that not every new
/// connection needs an examination.
const CHOSEN_SHARE: usize = 64;

/// The connections of a listener.
pub(super) struct Crowd {
    env: Env,
    places: Arc<Semaphore>,
    address_max: usize,
    complaints: Arc<Complaints>,
    members: Mutex<Members>,
    waiters: Arc<Waiters>,
}

#[derive(Default)]
struct Members {
    last_id: u64,
    all: HashMap<u64, Member>,
    addresses: HashMap<IpAddr, Address>,
    /// The next connections to close, of all clients.
    chosen: VecDeque<Chosen>,
}

struct Member {
    activity: Arc<Activity>,
    address: IpAddr,
}

#[derive(Default)]
struct Address {
    count: usize,
    /// The next connections to close, of this client.
    chosen: VecDeque<Chosen>,
}

type Chosen = (u64, Dispensable);

/// A connection's place. It is free again when this is dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

/// The address that identifies a client: an IPv4 address, or the /64 network that an IPv6 client has for itself.
pub fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Crowd {
    /// A crowd of up to `connections_max` connections, of one client up to `address_max`.
    pub(super) fn new(
        env: Env,
        connections_max: usize,
        address_max: usize,
        complaints: Arc<Complaints>,
    ) -> Arc<Self> {
        Arc::new(Self {
            env,
            places: Arc::new(Semaphore::new(connections_max)),
            address_max,
            complaints,
            members: Mutex::default(),
            waiters: Arc::default(),
        })
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, and closes the most dispensable connection if there is none. `None` if the client has too many
    /// connections.
    pub(super) async fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<(Place, Arc<Activity>)> {
        let address = client(peer.ip());
        if self.members().count(address) >= self.address_max && !self.make_room(Some(address)) {
            self.complaints.note(CloseReason::TooMany, peer);
            return None;
        }
        let permit = self.place().await?;
        let activity = Activity::new(self.env.clone(), peer, self.complaints.clone(), self.waiters.clone());
        let mut members = self.members();
        members.last_id += 1;
        let id = members.last_id;
        members.all.insert(id, Member { activity: activity.clone(), address });
        members.addresses.entry(address).or_default().count += 1;
        drop(members);
        Some((Place { crowd: self.clone(), id, _permit: permit }, activity))
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Some(permit);
        }
        let waiting = self.waiters.begin();
        let mut permit = std::pin::pin!(self.places.clone().acquire_owned());
        loop {
            let dispensable = waiting.dispensable();
            let leaving = self.make_room(None);
            tokio::select! {
                permit = permit.as_mut() => return permit.ok(),
                // While one connection is being closed no other one is, unless closing takes long.
                () = dispensable, if !leaving => {}
                () = self.env.sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Closes the most dispensable connection, of one client or of all: those without a request before idle ones, the oldest
    /// first. Returns false if none can be closed.
    pub(super) fn make_room(&self, of: Option<IpAddr>) -> bool {
        let mut members = self.members();
        // The chosen connections may have ended or become busy. Then others are chosen, once.
        for _ in 0..2 {
            while let Some((id, why)) = members.chosen(of).pop_front() {
                let Some(member) = members.all.get(&id) else { continue };
                if member.activity.dispensable() == Some(why) && member.activity.evict() {
                    return true;
                }
            }
            members.choose(of, self.env.monotonic());
        }
        false
    }
}

impl Members {
    fn count(&self, address: IpAddr) -> usize {
        self.addresses.get(&address).map_or(0, |address| address.count)
    }

    fn chosen(&mut self, of: Option<IpAddr>) -> &mut VecDeque<Chosen> {
        match of {
            None => &mut self.chosen,
            Some(address) => &mut self.addresses.entry(address).or_default().chosen,
        }
    }

    fn choose(&mut self, of: Option<IpAddr>, now: Duration) {
        // Among one client's own connections there is no grace time: even a very young connection can be closed.
        let grace = if of.is_none() { HEAD_GRACE } else { Duration::ZERO };
        let in_grace = |why: &Dispensable| matches!(why, Dispensable::Silent(since) if now.saturating_sub(*since) < grace);
        let mut found: Vec<Chosen> = self
            .all
            .iter()
            .filter(|(_, member)| of.is_none_or(|address| member.address == address))
            .filter_map(|(id, member)| Some((*id, member.activity.dispensable()?)))
            .collect();
        // Some new connection can be closed soon, so no idle connection is closed for connections that have just begun.
        let soon = found.iter().any(|(_, why)| in_grace(why));
        found.retain(|(_, why)| match why {
            Dispensable::Silent(_) => !in_grace(why),
            Dispensable::Idle(_) => !soon,
        });
        found.sort_unstable_by_key(|(id, why)| (*why, *id));
        found.truncate((self.all.len() / CHOSEN_SHARE).max(1));
        *self.chosen(of) = found.into();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        let Some(member) = members.all.remove(&self.id) else { return };
        if let Some(address) = members.addresses.get_mut(&member.address) {
            address.count -= 1;
            if address.count == 0 {
                members.addresses.remove(&member.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pace::Pace;
    use cairn_protocol::env::{ManualClock, Timestamp};

    const SECOND: Duration = Duration::from_secs(1);

    fn crowd(connections_max: usize, address_max: usize) -> (Arc<Crowd>, ManualClock) {
        let (env, clock) = Env::manual(1, Timestamp(0));
        let complaints = Arc::new(Complaints::new(env.clone()));
        (Crowd::new(env, connections_max, address_max, complaints), clock)
    }

    fn pace() -> Pace {
        Pace::new(0, SECOND)
    }

    fn peer(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 1000))
    }

    #[tokio::test]
    async fn the_silent_go_before_the_idle_the_oldest_first_and_the_busy_never() {
        let (crowd, clock) = crowd(10, 10);
        let mut all = Vec::new();
        for host in 0..6 {
            all.push(crowd.enter(peer(host)).await.unwrap());
            clock.advance(SECOND);
        }
        let activities: Vec<_> = all.iter().map(|(_, activity)| activity.clone()).collect();
        // Connection 1 is being served. Connections 3 and then 0 had a request and are idle.
        let busy = activities[1].begin(pace());
        for idle in [3, 0] {
            drop(activities[idle].begin(pace()));
            clock.advance(SECOND);
        }
        let gone = |activity: &Arc<Activity>| activity.is_evicted();
        for next in [2, 4, 5, 3, 0] {
            assert!(crowd.make_room(None));
            assert!(gone(&activities[next]), "{next}");
            assert!(!gone(&activities[1]));
            all[next].0.crowd.members().all.remove(&all[next].0.id);
        }
        assert!(!crowd.make_room(None));
        drop(busy);
        assert!(crowd.make_room(None) && gone(&activities[1]));
    }

    #[tokio::test]
    async fn a_head_that_is_on_its_way_for_a_moment_is_waited_for() {
        let (crowd, clock) = crowd(10, 10);
        let (_place, _activity) = crowd.enter(peer(1)).await.unwrap();
        assert!(!crowd.make_room(None));
        clock.advance(SECOND);
        assert!(crowd.make_room(None));
        // A connection that is being closed frees one place only.
        assert!(!crowd.make_room(None));
    }

    #[tokio::test]
    async fn an_idle_client_does_not_go_for_a_crowd_that_has_just_come() {
        let (crowd, clock) = crowd(10, 10);
        let idle = crowd.enter(peer(1)).await.unwrap();
        drop(idle.1.begin(pace()));
        clock.advance(10 * SECOND);
        let silent = crowd.enter(peer(2)).await.unwrap();
        assert!(!crowd.make_room(None));
        clock.advance(SECOND);
        assert!(crowd.make_room(None) && silent.1.is_evicted() && !idle.1.is_evicted());
        assert!(crowd.make_room(None) && idle.1.is_evicted());
    }

    #[tokio::test]
    async fn one_client_has_its_share_and_its_own_silent_connections_make_room_for_it() {
        let (crowd, _clock) = crowd(10, 2);
        let first = crowd.enter(peer(1)).await.unwrap();
        let second = crowd.enter(peer(1)).await.unwrap();
        let other = crowd.enter(peer(2)).await.unwrap();
        let busy = (first.1.begin(pace()), second.1.begin(pace()));
        assert!(crowd.enter(peer(1)).await.is_none());
        assert_eq!(crowd.complaints.in_all(CloseReason::TooMany), 1);
        drop(busy.1);
        let _third = crowd.enter(peer(1)).await.unwrap();
        assert!(second.1.is_evicted() && !first.1.is_evicted() && !other.1.is_evicted());
        // Connections of the same client get no grace time: an old one makes room for a new one at once.
        let _fourth = crowd.enter(peer(1)).await.unwrap();
    }

    #[test]
    fn an_ipv6_client_is_a_network_and_an_ipv4_client_an_address_in_any_notation() {
        let one = |text: &str| client(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:1"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:10.0.0.1"), one("10.0.0.1"));
        assert_ne!(one("10.0.0.1"), one("10.0.0.2"));
    }
}
