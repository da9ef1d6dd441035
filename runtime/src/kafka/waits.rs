//! How librdkafka's threads wait.
//!
//! They wait on conditions by C11's `cnd_timedwait`, until a time of the system's clock, and Linux ends such a wait when that clock shows the time: set back by an hour
//! meanwhile, the client stands still for an hour, its heartbeats with it (<https://github.com/confluentinc/librdkafka/issues/2145>). In a program with this
//! crate that function is the one here, which waits as long by the monotonic clock. The C library's own is for nobody else: what Rust waits for is monotonic.

use std::ffi::{c_int, c_void};

use libc::{CLOCK_MONOTONIC, CLOCK_REALTIME, ETIMEDOUT, clock_gettime, clockid_t, timespec};

const SECOND: i64 = 1_000_000_000;
// Of C11's <threads.h>, as the GNU C library numbers them.
const SUCCESS: c_int = 0;
const ERROR: c_int = 2;
const TIMED_OUT: c_int = 4;

unsafe extern "C" {
    /// `pthread_cond_timedwait` by a clock that is named; of the GNU C library since 2.30, whose `cnd_t` and `mtx_t` are these types by other names.
    fn pthread_cond_clockwait(condition: *mut c_void, mutex: *mut c_void, clock: clockid_t, until: *const timespec) -> c_int;
}

/// Waits on a condition until the system's clock would show a time, were it not set meanwhile.
///
/// # Safety
/// As the C standard says (7.26.3.5): the condition and the mutex are live, and this thread holds the mutex.
#[unsafe(no_mangle)]
unsafe extern "C" fn cnd_timedwait(condition: *mut c_void, mutex: *mut c_void, until: *const timespec) -> c_int {
    // SAFETY: the caller gives a time.
    let wait = left(nanoseconds(unsafe { &*until }), now(CLOCK_REALTIME));
    let end = now(CLOCK_MONOTONIC).saturating_add(wait);
    let end = timespec { tv_sec: end / SECOND, tv_nsec: end % SECOND };
    // SAFETY: the caller's condition and mutex, and a time of that clock.
    match unsafe { pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &raw const end) } {
        0 => SUCCESS,
        ETIMEDOUT => TIMED_OUT,
        _ => ERROR,
    }
}

/// How long it is until then; what is past is now.
fn left(until: i64, now: i64) -> i64 {
    until.saturating_sub(now).max(0)
}

fn now(clock: clockid_t) -> i64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the time. Neither clock is ever refused.
    unsafe { clock_gettime(clock, &raw mut now) };
    nanoseconds(&now)
}

fn nanoseconds(time: &timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The GNU C library's types are smaller.
    type Room = [u64; 16];

    unsafe extern "C" {
        fn cnd_init(condition: *mut c_void) -> c_int;
        fn mtx_init(mutex: *mut c_void, kind: c_int) -> c_int;
        fn mtx_lock(mutex: *mut c_void) -> c_int;
    }

    fn waited(milliseconds: i64) -> (c_int, Duration) {
        let (mut condition, mut mutex): (Room, Room) = ([0; 16], [0; 16]);
        let (condition, mutex) = ((&raw mut condition).cast(), (&raw mut mutex).cast());
        let until = now(CLOCK_REALTIME) + milliseconds * SECOND / 1000;
        let until = timespec { tv_sec: until / SECOND, tv_nsec: until % SECOND };
        let started = Instant::now();
        // SAFETY: both are made, in room that is large enough, and the mutex is held.
        let result = unsafe {
            assert_eq!((cnd_init(condition), mtx_init(mutex, 0), mtx_lock(mutex)), (SUCCESS, SUCCESS, SUCCESS));
            cnd_timedwait(condition, mutex, &raw const until)
        };
        (result, started.elapsed())
    }

    #[test]
    fn a_wait_lasts_until_its_time_and_one_for_what_is_past_not_at_all() {
        let (result, waited_for) = waited(50);
        assert!(result == TIMED_OUT && waited_for >= Duration::from_millis(49), "{result} after {waited_for:?}");
        assert_eq!(waited(-3_600_000).0, TIMED_OUT);
    }
}
