//! The files around the container image say what the code says: ports, paths, names, variables.
#![allow(clippy::expect_used, clippy::panic, reason = "tests report by panicking")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use leveret_server::config::{Args, Config};
use yaml_rust2::{Yaml, YamlLoader};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("docker/{name}: {error}"))
}

/// The instructions of the Dockerfile's last stage, lines that go on joined: name and rest.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let (_, last) = text.rsplit_once("\nFROM scratch\n").expect("a last stage on nothing");
    let lines = last.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split =
        |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    lines.filter_map(split).collect()
}

fn instruction(name: &str) -> String {
    let found = instructions().into_iter().find(|(given, _)| given == name);
    found.unwrap_or_else(|| panic!("the Dockerfile has no {name}")).1
}

fn exposed() -> BTreeSet<i64> {
    instruction("EXPOSE").split_whitespace().map(|port| port.parse().expect("a port")).collect()
}

/// Variables that the image sets.
fn image_variables() -> Vec<(String, String)> {
    let set = instruction("ENV");
    let pairs = set.split_whitespace().map(|pair| pair.split_once('=').expect("NAME=value"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Every variable that the configuration asks for.
fn known_variables() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        None
    };
    Config::load(&Args::default(), &environment).expect("the defaults");
    let mut known = asked.into_inner();
    let command = Args::command();
    known.extend(command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned())));
    known
}

/// The program is in the image: a link of ours to a binary that the first stage builds.
fn assert_in_image(program: &str) {
    let target = fs::read_link(file("rootfs/usr/local/bin").join(program))
        .unwrap_or_else(|error| panic!("{program} is no link in the image: {error}"));
    assert!(
        ["leveret", "leveretctl"].contains(&target.to_str().unwrap_or_default()),
        "{program}: {target:?}"
    );
    let build = read("Dockerfile");
    assert!(build.contains(&format!("/release/{}\"", target.display())), "{target:?} is not built");
}

fn documents(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(name)).unwrap_or_else(|error| panic!("docker/{name}: {error}"))
}

fn text(yaml: &Yaml) -> &str {
    yaml.as_str().unwrap_or_else(|| panic!("a text instead of {yaml:?}"))
}

fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().unwrap_or_else(|| panic!("a list instead of {yaml:?}"))
}

fn int(yaml: &Yaml) -> i64 {
    yaml.as_i64().unwrap_or_else(|| panic!("a number instead of {yaml:?}"))
}

#[test]
fn the_image_has_the_ports_that_are_listened_on() {
    let config = Config::default();
    let exposed = exposed();
    for address in config.amqp.iter().chain(&config.http) {
        assert!(exposed.contains(&i64::from(address.port())), "{address} is not exposed");
    }
    // The ports of TLS and of the metrics too, as in RabbitMQ's image.
    assert_eq!(exposed, BTreeSet::from([5_671, 5_672, 15_672, 15_692]));
}

#[test]
fn the_image_sets_what_the_programs_read() {
    let known = known_variables();
    let set = image_variables();
    let value = |name: &str| &set.iter().find(|(given, _)| given == name).expect(name).1;
    for (name, _) in set.iter().filter(|(name, _)| !["PATH", "HOME"].contains(&name.as_str())) {
        assert!(known.contains(name), "nobody reads {name}");
    }
    let volume = instruction("VOLUME");
    assert!(Path::new(value("LEVERET_DATA_DIR")).starts_with(&volume), "the data is not in the volume");
    assert_eq!(value("HOME"), &volume);
    assert!(file(&format!("rootfs{}/conf.d", value("LEVERET_CONFIG_DIR"))).is_dir());
    let passwd = read("rootfs/etc/passwd");
    let user = passwd.lines().find(|line| line.starts_with("rabbitmq:")).expect("the user");
    let [uid, gid] = [2, 3].map(|place| user.split(':').nth(place).expect("an id"));
    assert_eq!(instruction("USER"), format!("{uid}:{gid}"));
    assert!(user.contains(&format!(":{volume}:")), "the volume is not the user's home");
}

#[test]
fn the_images_settings_are_understood() {
    let args = Args { config_dir: Some(file("rootfs/etc/rabbitmq")), ..Args::default() };
    let (config, notices) = Config::load(&args, &|_| None).expect("the image's settings");
    assert!(notices.iter().all(|notice| !notice.warning), "{notices:?}");
    assert_eq!(config.loopback_users, Vec::<String>::new(), "guest may log in from outside");
}

#[test]
fn the_images_programs_are_there() {
    let first = |json: &str| json.trim_start_matches("[\"").split('"').next().unwrap_or_default().to_owned();
    assert_in_image(&first(&instruction("CMD")));
    let check = instruction("HEALTHCHECK");
    assert_in_image(&first(check.split_once("CMD ").expect("a command").1));
    for name in
        ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-plugins", "rabbitmq-queues", "rabbitmq-upgrade"]
    {
        assert_in_image(name);
    }
}

#[test]
fn the_compose_file_fits_the_image() {
    let documents = documents("compose.yml");
    let [document] = documents.as_slice() else { panic!("one document") };
    let service = &document["services"]["leveret"];
    for port in list(&service["ports"]) {
        let inside = text(port).rsplit(':').next().expect("a port").parse().expect("a number");
        assert!(exposed().contains(&inside), "{port:?} is not exposed");
    }
    let mounts = list(&service["volumes"]).iter().map(text);
    let (volume, place) = mounts.filter_map(|mount| mount.split_once(':')).next().expect("a volume");
    assert_eq!(place, instruction("VOLUME"));
    let declared = document["volumes"].as_hash().expect("volumes");
    assert!(declared.contains_key(&Yaml::String(volume.to_owned())), "the volume {volume} is not declared");
    let known = known_variables();
    for name in service["environment"].as_hash().expect("variables").keys().map(text) {
        assert!(known.contains(name), "nobody reads {name}");
    }
    let (context, dockerfile) = (text(&service["build"]["context"]), text(&service["build"]["dockerfile"]));
    assert!(file(context).join(dockerfile).is_file(), "{context}/{dockerfile}");
}

#[test]
fn the_kubernetes_manifests_fit_the_image() {
    let documents = documents("kubernetes/leveret.yaml");
    let kind = |kind: &str| documents.iter().find(|it| it["kind"].as_str() == Some(kind)).expect(kind);
    let pod = &kind("StatefulSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports = list(&container["ports"]).iter();
    let ports: Vec<(&str, i64)> =
        ports.map(|port| (text(&port["name"]), int(&port["containerPort"]))).collect();
    // What is published is what the settings open: TLS needs a certificate, which is not in the manifest.
    let settings = text(&kind("ConfigMap")["data"]["rabbitmq.conf"]);
    let mut opened = exposed();
    if !settings.contains("listeners.ssl") {
        opened.remove(&5_671);
    }
    assert_eq!(ports.iter().map(|(_, port)| *port).collect::<BTreeSet<_>>(), opened);
    assert_eq!(text(&container["imagePullPolicy"]), "IfNotPresent");
    for port in list(&kind("Service")["spec"]["ports"]) {
        let target = (text(&port["targetPort"]), int(&port["port"]));
        assert!(ports.contains(&target), "{port:?}");
    }
    let security = &pod["securityContext"];
    let ids = format!("{}:{}", int(&security["runAsUser"]), int(&security["runAsGroup"]));
    assert_eq!(ids, instruction("USER"));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], Yaml::Boolean(true));
    for probe in ["startupProbe", "livenessProbe"] {
        assert_in_image(text(&container[probe]["exec"]["command"][0]));
    }
    let ready = text(&container["readinessProbe"]["tcpSocket"]["port"]);
    assert!(ports.iter().any(|(name, _)| *name == ready), "{ready}");
    let mounts = list(&container["volumeMounts"]).iter();
    let mounts: Vec<&str> = mounts.map(|mount| text(&mount["mountPath"])).collect();
    assert!(mounts.contains(&instruction("VOLUME").as_str()), "{mounts:?}");
    let known = known_variables();
    for variable in list(&container["env"]) {
        assert!(known.contains(text(&variable["name"])), "{variable:?}");
        assert!(mounts.iter().any(|mount| text(&variable["value"]).starts_with(mount)), "{variable:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("rabbitmq.conf"), settings).expect("a file");
    let args = Args { config_dir: Some(folder.path().to_owned()), ..Args::default() };
    let (_, notices) = Config::load(&args, &|_| None).expect("the map's settings");
    assert_eq!(notices, []);
}
