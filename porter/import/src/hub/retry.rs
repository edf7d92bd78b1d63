//! What is tried again, how often, and how long after.

use std::time::Duration;

use crate::error::ImportError;

/// How often a request that failed for a passing reason is sent again. Whatever brought bytes counts as a success: a
/// download over a bad connection goes on as long as it advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Requests without any progress before the error is reported; at least one is sent.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub first_wait: Duration,
    /// No wait is longer, and a server that asks for a longer one is not waited for.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500), longest_wait: Duration::from_mins(5) }
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It would fail again.
    Final(ImportError),
    /// It may succeed later; the server may have said when.
    Passing { error: ImportError, after: Option<Duration> },
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::Final(error)
    }
}

/// The attempts left for one request.
pub(super) struct Patience {
    retry: Retry,
    used: u32,
}

impl Patience {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, used: 0 }
    }

    /// Something has come: the count starts over.
    pub(super) fn renew(&mut self) {
        self.used = 0;
    }

    /// Waits before the next attempt, or gives the error where there is none left.
    pub(super) fn wait(&mut self, failure: Failure) -> Result<(), ImportError> {
        let (error, after) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { error, after } => (error, after),
        };
        self.used += 1;
        let doubled = self.retry.first_wait.saturating_mul(1 << self.used.saturating_sub(1).min(16));
        let wait = after.unwrap_or(doubled.min(self.retry.longest_wait));
        if self.used >= self.retry.attempts || wait > self.retry.longest_wait {
            return Err(error);
        }
        std::thread::sleep(wait);
        Ok(())
    }
}

/// Sends a request until it succeeds, fails for good, or was tried often enough.
pub(super) fn attempt<T>(
    retry: Retry,
    mut request: impl FnMut() -> Result<T, Failure>,
) -> Result<T, ImportError> {
    let mut patience = Patience::new(retry);
    loop {
        match request() {
            Ok(answer) => return Ok(answer),
            Err(failure) => patience.wait(failure)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Retry =
        Retry { attempts: 3, first_wait: Duration::ZERO, longest_wait: Duration::from_millis(50) };

    fn tried(retry: Retry, failure: impl Fn() -> Failure) -> u32 {
        let mut count = 0;
        let given: Result<(), _> = attempt(retry, || {
            count += 1;
            Err(failure())
        });
        assert!(given.is_err());
        count
    }

    fn passing(after: Option<Duration>) -> Failure {
        Failure::Passing { error: ImportError::NoCache("X"), after }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert_eq!(tried(QUICK, || passing(None)), 3);
        assert_eq!(tried(QUICK, || passing(Some(Duration::from_millis(1)))), 3);
        assert_eq!(tried(QUICK, || Failure::Final(ImportError::NoCache("X"))), 1);
        assert_eq!(tried(Retry { attempts: 0, ..QUICK }, || passing(None)), 1);
    }

    #[test]
    fn a_server_that_asks_for_too_much_time_is_not_waited_for() {
        assert_eq!(tried(QUICK, || passing(Some(Duration::from_hours(1)))), 1);
    }

    #[test]
    fn progress_renews_the_patience() {
        let mut patience = Patience::new(QUICK);
        for _ in 0..20 {
            patience.wait(passing(None)).unwrap();
            patience.renew();
        }
    }
}
