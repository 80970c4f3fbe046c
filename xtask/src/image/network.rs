//! Two network namespaces with a wire between them: the broker's, and a client's.

use std::process::Command;

use crate::Failure;
use crate::process::output;

const BROKER: &str = "10.231.7.1";
const CLIENT: &str = "10.231.7.2";

/// The two namespaces; dropped, they are gone.
pub(super) struct Network {
    inside: String,
    outside: String,
}

impl Network {
    /// Makes them; needs root, as the network does.
    pub(super) fn create() -> Result<Self, Failure> {
        let number = std::process::id();
        let network = Self { inside: format!("lvt{number}i"), outside: format!("lvt{number}o") };
        let (inside, outside) = (network.inside.as_str(), network.outside.as_str());
        ip(&["netns", "add", inside])?;
        ip(&["netns", "add", outside])?;
        let peer = ["peer", "name", outside, "netns", outside];
        ip(&[["link", "add", inside, "netns", inside, "type", "veth"].as_slice(), &peer].concat())?;
        for (name, address) in [(inside, BROKER), (outside, CLIENT)] {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", name, "up"])?;
        }
        Ok(network)
    }

    /// Where the broker's namespace lies.
    pub(super) fn inside(&self) -> String {
        format!("/run/netns/{}", self.inside)
    }

    /// A command that runs in the client's namespace; its program is the first argument to add.
    pub(super) fn outside(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.outside]);
        command
    }

    /// The broker's address as the client sees it.
    pub(super) fn broker_address(&self) -> &'static str {
        BROKER
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What was not made cannot be removed, and the wire goes with its ends.
        drop(ip(&["netns", "delete", &self.inside]));
        drop(ip(&["netns", "delete", &self.outside]));
    }
}

fn ip(args: &[&str]) -> Result<String, Failure> {
    output(Command::new("ip").args(args))
}
