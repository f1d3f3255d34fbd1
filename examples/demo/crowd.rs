//! Those who sign up in the tour, each known by a number.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::try_join_all;

use crate::{Failure, http::Browser, mail::Trouble};

/// So many connections are used at the same time.
const BROWSERS: usize = 8;

/// How the sign-ups were answered so far.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    next: AtomicUsize,
    pub(crate) accepted: AtomicUsize,
    pub(crate) rolled_back: AtomicUsize,
    pub(crate) other: AtomicUsize,
}

impl Answers {
    /// All of them.
    pub(crate) fn all(&self) -> usize {
        [&self.accepted, &self.rolled_back, &self.other].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// Whether this one's sign-up is rolled back: a tenth of them.
pub(crate) fn is_rolled_back(number: usize) -> bool {
    number % 10 == 7
}

/// What this one's job suffers at its first attempt: 3 % an error, 3 % a panic, 1 % hang.
pub(crate) fn trouble(number: usize) -> Option<Trouble> {
    match number % 100 {
        10 | 40 | 70 => Some(Trouble::Error),
        20 | 50 | 80 => Some(Trouble::Panic),
        30 => Some(Trouble::Hang),
        _ => None,
    }
}

/// Where this one gets mail.
pub(crate) fn email(number: usize) -> String {
    format!("guest-{number}@example.com")
}

/// Signs everybody up.
pub(crate) async fn sign_up(address: SocketAddr, crowd: usize, answers: &Answers) -> Result<(), Failure> {
    let browsers = (0..BROWSERS).map(|_| async {
        let mut browser = Browser::connect(address).await?;
        loop {
            let number = answers.next.fetch_add(1, Ordering::Relaxed);
            if number >= crowd {
                return Ok(());
            }
            let trouble = trouble(number).map_or("", Trouble::word);
            let rollback = if is_rolled_back(number) { "1" } else { "" };
            let form = format!("email={}&trouble={trouble}&rollback={rollback}", email(number).replace('@', "%40"));
            let count = match (browser.post("/signup", &form).await?, is_rolled_back(number)) {
                (303, false) => &answers.accepted,
                (409, true) => &answers.rolled_back,
                _ => &answers.other,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    try_join_all(browsers).await.map(|_| ()).map_err(Failure::because::<std::io::Error>("sign somebody up"))
}
