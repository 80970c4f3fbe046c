//! What is volatile in an answer is given a name: nodes, folders, ports, Erlang's process ids.

/// The names of volatile values.
#[derive(Debug, Default)]
pub(super) struct Normal {
    names: Vec<(String, String)>,
    ports: Vec<(String, String)>,
}

impl Normal {
    /// `text` is called `name` from now on.
    pub(super) fn name(&mut self, text: &str, name: &str) {
        self.names.push((text.to_owned(), name.to_owned()));
    }

    /// The number `port` is called `name` from now on, where it stands by itself.
    pub(super) fn port(&mut self, port: u16, name: &str) {
        self.ports.push((port.to_string(), name.to_owned()));
    }

    /// What is called `name`.
    pub(super) fn named(&self, name: &str) -> &str {
        self.names.iter().find(|(_, known)| known == name).map_or("", |(text, _)| text)
    }

    /// A text's lines.
    pub(super) fn lines(&self, text: &str) -> Vec<String> {
        text.lines().map(|line| self.line(line)).collect()
    }

    /// One line.
    pub(super) fn line(&self, line: &str) -> String {
        let mut line = process_ids(line);
        for (text, name) in &self.names {
            line = line.replace(text, name);
        }
        for (port, name) in &self.ports {
            line = replace_number(&line, port, name);
        }
        line
    }
}

/// `<rabbit-5672@host.1761.789.0>` and `#PID<1.2.3>` of RabbitMQ, `<127.0.0.1:1->127.0.0.1:2>` of Leveret.
fn process_ids(line: &str) -> String {
    let mut done = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        done.push_str(before);
        let end = after.match_indices('>').map(|(at, _)| at).find(|at| !after[..*at].ends_with('-'));
        let inner = end.map(|end| &after[..end]);
        match (inner, end) {
            (Some(inner), Some(end))
                if inner.starts_with("rabbit-")
                    || done.ends_with("#PID")
                    || inner.starts_with("127.0.0.1:") =>
            {
                done.truncate(done.strip_suffix("#PID").map_or(done.len(), str::len));
                done.push_str("PID");
                rest = &after[end + 1..];
            }
            _ => {
                done.push('<');
                rest = after;
            }
        }
    }
    done + rest
}

fn replace_number(line: &str, number: &str, name: &str) -> String {
    let mut done = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once(number) {
        let apart = !before.ends_with(|c: char| c.is_ascii_digit())
            && !after.starts_with(|c: char| c.is_ascii_digit());
        done.push_str(before);
        done.push_str(if apart { name } else { number });
        rest = after;
    }
    done + rest
}
