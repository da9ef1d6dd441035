//! Crash points of a build for tests.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millrace_model::{Code, Fault, Result};
use rustix::process::{Signal, getpid, kill_process};

/// Where it stands which points are armed.
const VARIABLE: &str = "FAILPOINTS";

/// Those that are, for as long as the process lives.
static ARMED: LazyLock<Vec<Armed>> = LazyLock::new(|| {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let armed = text.split(';').filter(|point| !point.is_empty());
    armed
        .map(|point| Armed::of(point).unwrap_or_else(|| panic!("{VARIABLE} has {point}; it takes <point>=crash@<hit>, stand or fault")))
        .collect()
});

/// A step of a protocol, by its name: `<service>.<step>.<before|after>`.
#[derive(Debug, Clone, Copy)]
pub struct CrashPoint(&'static str);

/// What happens at a point, and at which hit.
#[derive(Debug)]
struct Armed {
    point: String,
    word: Word,
    hit: u64,
    hits: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Crash,
    Stand,
    Fault,
}

impl CrashPoint {
    /// The point of that name. To be declared by [`crash_points`](crate::crash_points) only: tests go by its list.
    #[doc(hidden)]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The step is reached: what the environment says of it happens.
    ///
    /// # Errors
    /// The passing fault of the word `fault`.
    pub fn reached(self) -> Result<()> {
        self.reached_as(&ARMED)
    }

    /// The same at a step that can't fail.
    pub fn passed(self) {
        // It has been told; there is nobody to fail.
        self.reached().unwrap_or_default();
    }

    fn reached_as(self, armed: &[Armed]) -> Result<()> {
        match armed.iter().find(|armed| armed.point == self.0 && armed.is_its_turn()).map(|armed| armed.word) {
            None => Ok(()),
            Some(Word::Crash) => self.crash(),
            Some(Word::Stand) => {
                self.stand();
                Ok(())
            }
            Some(Word::Fault) => {
                self.tell("fault");
                Err(Fault::passing(Code::Internal, format!("the crash point {} fails", self.0)))
            }
        }
    }

    fn crash(self) -> ! {
        self.tell("crash");
        std::process::abort()
    }

    fn stand(self) {
        self.tell("stand");
        kill_process(getpid(), Signal::STOP).expect("a process may stop itself");
        // The signal is the process's: another thread may take it, and this one must not go on before that.
        std::thread::sleep(Duration::from_millis(50));
    }

    fn tell(self, word: &str) {
        eprintln!("crash point {}: {word}", self.0);
    }
}

impl Armed {
    fn of(text: &str) -> Option<Self> {
        let (point, action) = text.split_once('=')?;
        let (word, hit) = action.split_once('@')?;
        let word = match word {
            "crash" => Word::Crash,
            "stand" => Word::Stand,
            "fault" => Word::Fault,
            _ => return None,
        };
        Some(Self { point: point.to_owned(), word, hit: hit.parse().ok()?, hits: AtomicU64::new(0) })
    }

    /// Counts a hit.
    fn is_its_turn(&self) -> bool {
        self.hits.fetch_add(1, Ordering::Relaxed) + 1 == self.hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_fails_at_the_hit_that_it_is_armed_for_and_at_no_other() {
        let armed = [Armed::of("a.commit.after=fault@3").expect("is well-formed")];
        let hits = |point: &'static str| (0..4).map(|_| CrashPoint::new(point).reached_as(&armed).is_ok()).collect::<Vec<_>>();
        assert_eq!(hits("a.commit.before"), [true; 4]);
        assert_eq!(hits("a.commit.after"), [true, true, false, true]);
    }

    #[test]
    fn what_is_no_word_arms_nothing() {
        assert!(["a", "a=crash", "a=crash@x", "a=die@1"].iter().all(|text| Armed::of(text).is_none()));
        assert_eq!(Armed::of("a=stand@1").map(|armed| armed.word), Some(Word::Stand));
    }
}
