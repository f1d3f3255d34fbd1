//! What people know a process by: its host, its number there and its program, in one text.

/// The parts of that text, as far as it has them: anybody may write to the table that keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Whereabouts {
    pub(crate) host: Option<String>,
    pub(crate) pid: Option<u32>,
    pub(crate) program: Option<String>,
}

/// This process's own.
pub(crate) fn name() -> String {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "worker".to_owned());
    format!("{}:{} ({program})", gethostname::gethostname().to_string_lossy(), std::process::id())
}

impl Whereabouts {
    /// Those that a name tells.
    pub(crate) fn of(name: &str) -> Self {
        let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (place, program) = match name.strip_suffix(')').and_then(|name| name.split_once(" (")) {
            Some((place, program)) => (place, part(program)),
            None => (name, None),
        };
        match place.rsplit_once(':').and_then(|(host, pid)| Some((host, pid.parse().ok()?))) {
            Some((host, pid)) => Self { host: part(host), pid: Some(pid), program },
            None => Self { program, ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_what_it_calls_itself() {
        let Whereabouts { host, pid, program } = Whereabouts::of(&name());

        assert_eq!(host.unwrap(), gethostname::gethostname().to_string_lossy());
        assert_eq!(pid, Some(std::process::id()));
        assert!(std::env::current_exe().unwrap().ends_with(program.unwrap()));
    }

    #[test]
    fn a_name_of_another_form_tells_what_it_can() {
        let told = |name: &str| {
            let Whereabouts { host, pid, program } = Whereabouts::of(name);
            (host.unwrap_or_default(), pid, program.unwrap_or_default())
        };

        assert_eq!(told("fe80::1:7 (a (b))"), ("fe80::1".into(), Some(7), "a (b)".into()));
        assert_eq!(told("worker"), (String::new(), None, String::new()));
        assert_eq!(told("host:-1 (app)"), (String::new(), None, "app".into()));
        assert_eq!(told(":1 ()"), (String::new(), Some(1), String::new()));
    }
}
