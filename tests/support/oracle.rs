//! The standard's text as a program: WHATWG HTML, 9.2.5 and 9.2.6, a byte at a time.
//!
//! It is slow, keeps everything, and has no pieces or limits.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    pub event: String,
    pub data: String,
    pub id: String,
    pub retry: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub events: Vec<Dispatched>,
    pub comments: Vec<String>,
    pub last_event_id: String,
    pub retry: Option<u64>,
}

/// Applies "the UTF-8 decode algorithm", then interprets the text "line by line".
pub fn parse(bytes: &[u8], last_event_id: &str) -> Parsed {
    let bytes = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut parsed = Parsed { last_event_id: last_event_id.to_owned(), ..Parsed::default() };
    let (mut data, mut event_type, mut id) =
        (String::new(), String::new(), last_event_id.to_owned());
    let mut line = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\r' && character != '\n' {
            line.push(character);
            continue;
        }
        if character == '\r' && characters.peek() == Some(&'\n') {
            characters.next();
        }
        let line = std::mem::take(&mut line);
        if line.is_empty() {
            parsed.last_event_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                parsed.events.push(Dispatched {
                    event: if event_type.is_empty() {
                        "message".into()
                    } else {
                        event_type.clone()
                    },
                    data: data.to_owned(),
                    id: id.clone(),
                    retry: parsed.retry,
                });
            }
            data.clear();
            event_type.clear();
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => parsed.comments.push(value.to_owned()),
            "event" => value.clone_into(&mut event_type),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                parsed.retry = Some(value.parse().unwrap_or(u64::MAX));
            }
            _ => {}
        }
    }
    parsed
}
