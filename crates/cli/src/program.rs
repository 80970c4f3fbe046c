//! The names that the binary goes by: RabbitMQ's tools, each with its commands.

/// One of RabbitMQ's tools. `leveretctl` is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// `rabbitmqctl`
    Ctl,
    /// `rabbitmq-diagnostics`
    Diagnostics,
    /// `rabbitmq-plugins`
    Plugins,
    /// `rabbitmq-queues`
    Queues,
    /// `rabbitmq-upgrade`
    Upgrade,
}

/// How the binary was called.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The name it was called by, for usage lines.
    pub(crate) name: String,
    /// The tool of that name; `None` is every one.
    pub(crate) tool: Option<Tool>,
}

impl Program {
    /// From the first word of the command line.
    pub(crate) fn from_path(path: Option<&str>) -> Self {
        let name = path.and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
        let name = name.unwrap_or("leveretctl").to_owned();
        let tool = match name.as_str() {
            "rabbitmqctl" => Some(Tool::Ctl),
            "rabbitmq-diagnostics" => Some(Tool::Diagnostics),
            "rabbitmq-plugins" => Some(Tool::Plugins),
            "rabbitmq-queues" => Some(Tool::Queues),
            "rabbitmq-upgrade" => Some(Tool::Upgrade),
            _ => None,
        };
        Self { name, tool }
    }

    /// Whether a command of these tools can be called by this name.
    pub(crate) fn offers(&self, tools: &[Tool]) -> bool {
        self.tool.is_none_or(|tool| tools.contains(&tool))
    }
}
