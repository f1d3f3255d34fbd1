//! The mark of a form that this dashboard has made, by which forged requests are told.
//!
//! A browser sends cookies with whatever request any page makes it send, so a cookie alone proves nothing. Here every
//! form carries a mark: the HMAC of a cookie's random value under a secret of the server's. Another site can have a form
//! sent, but can read neither the cookie nor the form's page; one that manages to plant a cookie (from a subdomain, say)
//! still cannot make the mark that belongs to it. Besides, the cookie is `SameSite=Strict`, and requests that say that they
//! come from another origin are refused whatever they carry: see `post`.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::trouble::Trouble;

const COOKIE: &str = "job-queue-form";

/// The secret; the process's own unless one was given.
#[derive(Clone, Default)]
pub(crate) struct Key(Option<Arc<[u8]>>);

/// A visitor's cookie, and the mark that its forms carry.
#[derive(Clone)]
pub(crate) struct FormToken {
    value: String,
    /// The visitor has no cookie yet.
    fresh: bool,
    mark: Hmac<Sha256>,
}

impl Key {
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(Some(secret.into()))
    }

    fn mark(&self, value: &str) -> Result<Hmac<Sha256>, Trouble> {
        static OWN: OnceLock<[u8; 32]> = OnceLock::new();
        let secret: &[u8] = match (&self.0, OWN.get()) {
            (Some(given), _) => given,
            (None, Some(own)) => own,
            (None, None) => {
                let random = random()?;
                OWN.get_or_init(|| random)
            }
        };
        let mut mark = Hmac::<Sha256>::new_from_slice(secret)
            .map_err(|_| Trouble::Inner("The dashboard's secret is of no use: give it 32 random bytes.".to_owned()))?;
        mark.update(value.as_bytes());
        Ok(mark)
    }
}

impl FormToken {
    pub(crate) fn of(request: &HttpRequest, key: &Key) -> Result<Self, Trouble> {
        let cookie = request.cookie(COOKIE).filter(|cookie| cookie.value().len() == 64);
        let (value, fresh) = match cookie {
            Some(cookie) => (cookie.value().to_owned(), false),
            None => (hex(&random()?), true),
        };
        Ok(Self { mark: key.mark(&value)?, value, fresh })
    }

    /// What a form carries.
    pub(crate) fn mark(&self) -> String {
        hex(&self.mark.clone().finalize().into_bytes())
    }

    /// Whether a form carries it; compared in a time that does not tell how much of it is right.
    pub(crate) fn fits(&self, mark: &str) -> bool {
        !self.fresh && unhex(mark).is_some_and(|bytes| self.mark.clone().verify_slice(&bytes).is_ok())
    }

    /// The cookie to set, where the visitor has none.
    pub(crate) fn cookie(&self, secure: bool) -> Option<Cookie<'static>> {
        self.fresh.then(|| {
            Cookie::build(COOKIE, self.value.clone())
                .path("/")
                .http_only(true)
                .same_site(SameSite::Strict)
                .secure(secure)
                .finish()
        })
    }
}

fn random() -> Result<[u8; 32], Trouble> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Trouble::Inner(format!("The system gave no random numbers: {error}.")))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn visitor(key: &Key, cookie: Option<&str>) -> FormToken {
        let request = TestRequest::default();
        let request = cookie.iter().fold(request, |request, value| request.cookie(Cookie::new(COOKIE, *value)));
        FormToken::of(&request.to_http_request(), key).unwrap()
    }

    #[test]
    fn a_mark_fits_its_cookie_under_its_secret_and_nothing_else() {
        let (key, other) = (Key::of(b"one"), Key::of(b"two"));
        let first = visitor(&key, None);
        let again = visitor(&key, Some(&first.value));

        assert!(again.fits(&first.mark()) && again.cookie(false).is_none());
        assert!(!first.fits(&first.mark()), "whoever sent no cookie has no form");
        assert!(!visitor(&key, None).fits(&first.mark()) && !visitor(&other, Some(&first.value)).fits(&first.mark()));
        for forged in ["", "00", "zz", &first.value, &first.mark()[2..]] {
            assert!(!again.fits(forged), "{forged}");
        }
        let planted = "a".repeat(64);
        assert!(!visitor(&key, Some(&planted)).fits(&planted));
    }

    #[test]
    fn a_cookie_is_for_the_same_site_only_and_no_script_reads_it() {
        let cookie = visitor(&Key::default(), None).cookie(true).unwrap().to_string();

        for word in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
    }
}
