use leveret_protocol::field_table::TableWriter;

use super::*;
use crate::message::Body;

/// 2026-11-21 14:02:17.500, when the goldens were recorded (the fraction is cut).
const NOW: UnixMillis = UnixMillis(0x6b01_a469 * 1000 + 500);

/// Content header properties of basic.get-ok as RabbitMQ 4.0.5 sent them, after one message each went its way.
mod golden {
    /// Published to queue `src` without properties; rejected; dead-letter exchange "" and key `dlq`.
    pub(super) const REJECTED: &str = "20000000012a07782d6465617468410000006c460000006705636f756e746c000000000000000106726561736f6e530000000872656a656374656405717565756553000000037372630474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b6579734100000008530000000373726316782d66697273742d64656174682d65786368616e6765530000000013782d66697273742d64656174682d7175657565530000000373726314782d66697273742d64656174682d726561736f6e530000000872656a656374656415782d6c6173742d64656174682d65786368616e6765530000000012782d6c6173742d64656174682d7175657565530000000373726313782d6c6173742d64656174682d726561736f6e530000000872656a6563746564";
    /// The same with expiration 10, delivery mode 2, priority 3, content type `t/p`, timestamp 77 and the headers
    /// b: 1, a: "s", zz: true, x-a: 5, in that order; expired.
    pub(super) const EXPIRED: &str = "b84003742f700000015f01615300000001730162490000000103782d61490000000507782d646561746841000000864600000081136f726967696e616c2d65787069726174696f6e5300000002313005636f756e746c000000000000000106726561736f6e53000000076578706972656405717565756553000000037372630474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b6579734100000008530000000373726316782d66697273742d64656174682d65786368616e6765530000000013782d66697273742d64656174682d7175657565530000000373726314782d66697273742d64656174682d726561736f6e53000000076578706972656415782d6c6173742d64656174682d65786368616e6765530000000012782d6c6173742d64656174682d7175657565530000000373726313782d6c6173742d64656174682d726561736f6e530000000765787069726564027a7a74010203000000000000004d";
    /// With the client's own x-death, x-first-death-queue and x-last-death-reason, CC [cc1] and BCC [cc2]; rejected.
    pub(super) const CLIENTS_OWN: &str = "2000000001420243434100000008530000000363633107782d64656174684100000074460000006f05636f756e746c000000000000000106726561736f6e530000000872656a656374656405717565756553000000037372630474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b65797341000000105300000003737263530000000363633116782d66697273742d64656174682d65786368616e6765530000000013782d66697273742d64656174682d7175657565530000000373726314782d66697273742d64656174682d726561736f6e530000000872656a656374656415782d6c6173742d64656174682d65786368616e6765530000000012782d6c6173742d64656174682d7175657565530000000373726313782d6c6173742d64656174682d726561736f6e530000000872656a6563746564";
    /// CC [cc1], BCC [cc2], expiration 5000; rejected in `src` with key `src2`, then in `src2` to exchange `dlx`
    /// without a key.
    pub(super) const TWO_HOPS: &str = "2000000001ce0243434100000008530000000363633107782d646561746841000000ff460000006905636f756e746c000000000000000106726561736f6e530000000872656a65637465640571756575655300000004737263320474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b6579734100000009530000000473726332460000008c136f726967696e616c2d65787069726174696f6e53000000043530303005636f756e746c000000000000000106726561736f6e530000000872656a656374656405717565756553000000037372630474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b65797341000000105300000003737263530000000363633116782d66697273742d64656174682d65786368616e6765530000000013782d66697273742d64656174682d7175657565530000000373726314782d66697273742d64656174682d726561736f6e530000000872656a656374656415782d6c6173742d64656174682d65786368616e6765530000000012782d6c6173742d64656174682d717565756553000000047372633213782d6c6173742d64656174682d726561736f6e530000000872656a6563746564";
    /// Header app: 1; three rounds of rejected in `w` (key `r`) and expired in `r` (key `w`).
    pub(super) const THREE_ROUNDS: &str = "20000000019103617070490000000107782d646561746841000000cf460000006205636f756e746c000000000000000306726561736f6e5300000007657870697265640571756575655300000001720474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b6579734100000006530000000172460000006305636f756e746c000000000000000306726561736f6e530000000872656a65637465640571756575655300000001770474696d6554000000006b01a4690865786368616e676553000000000c726f7574696e672d6b657973410000000653000000017716782d66697273742d64656174682d65786368616e6765530000000013782d66697273742d64656174682d717565756553000000017714782d66697273742d64656174682d726561736f6e530000000872656a656374656415782d6c6173742d64656174682d65786368616e6765530000000012782d6c6173742d64656174682d717565756553000000017213782d6c6173742d64656174682d726561736f6e530000000765787069726564";
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A message on its way through queues.
struct Walk {
    exchange: Vec<u8>,
    routing_key: Vec<u8>,
    stored: Vec<u8>,
    annotated: bool,
}

impl Walk {
    fn publish(queue: &str, properties: &PropertiesBuilder<'_>) -> Self {
        // What publishing does: BCC goes behind the properties.
        let raw = properties.to_vec();
        let headers = PropertyView::parse(&raw).unwrap().headers_table();
        let notes = Notes::of_headers(headers.as_ref());
        let (stored, annotated) = match headers {
            Some(headers) if headers.get(b"BCC").is_some() => {
                let mut visible = properties.clone();
                visible.set_headers(&headers.without(b"BCC"));
                (notes.behind(&visible.to_vec()), true)
            }
            _ => (raw.clone(), false),
        };
        Self { exchange: Vec::new(), routing_key: queue.into(), stored, annotated }
    }

    fn dies(&mut self, queue: &str, exchange: &str, routing_key: Option<&str>, reason: Reason) -> DeadLetter {
        let message = Message {
            exchange: &self.exchange,
            routing_key: &self.routing_key,
            properties: &self.stored,
            body: Body::Small(b""),
        };
        let source = Source { queue, exchange, routing_key: routing_key.map(str::as_bytes), counts: false };
        let dead = DeadLetter::new(&message, self.annotated, &source, reason, NOW);
        self.exchange = dead.exchange.to_vec();
        self.routing_key = dead.routing_key.to_vec();
        self.stored = dead.notes.behind(&dead.properties);
        self.annotated = true;
        dead
    }
}

fn array(values: &[FieldValue<'_>]) -> Vec<u8> {
    values.iter().flat_map(encoded).collect()
}

fn put_array(table: &mut TableWriter, name: &str, values: &[FieldValue<'_>]) {
    let content = array(values);
    let array = leveret_protocol::field_table::FieldArray::parse(&content).unwrap();
    table.put(name.as_bytes(), &FieldValue::Array(array)).unwrap();
}

fn copies(table: &mut TableWriter) {
    put_array(table, "CC", &[FieldValue::LongString(b"cc1")]);
    put_array(table, "BCC", &[FieldValue::LongString(b"cc2")]);
}

#[test]
fn a_bare_message_gets_rabbitmqs_headers() {
    let mut walk = Walk::publish("src", &PropertiesBuilder::new());
    let dead = walk.dies("src", "", Some("dlq"), Reason::Rejected);
    assert_eq!(hex(&dead.properties), golden::REJECTED);
    assert_eq!(&*dead.routing_key, b"dlq");
}

#[test]
fn other_properties_stay_headers_are_sorted_and_the_expiration_moves() {
    let mut headers = TableWriter::new();
    headers.put(b"b", &FieldValue::I32(1)).unwrap();
    headers.put(b"a", &FieldValue::LongString(b"s")).unwrap();
    headers.put(b"zz", &FieldValue::Bool(true)).unwrap();
    headers.put(b"x-a", &FieldValue::I32(5)).unwrap();
    let mut properties = PropertiesBuilder::new();
    properties
        .set_text(Property::ContentType, b"t/p")
        .set_headers(&headers.into_content())
        .set_octet(Property::DeliveryMode, 2)
        .set_octet(Property::Priority, 3)
        .set_text(Property::Expiration, b"+010")
        .set_timestamp(77);
    let dead = Walk::publish("src", &properties).dies("src", "", Some("dlq"), Reason::Expired);
    assert_eq!(hex(&dead.properties), golden::EXPIRED);
}

#[test]
fn a_clients_own_death_headers_count_for_nothing() {
    let mut headers = TableWriter::new();
    let mut own = TableWriter::new();
    own.put(b"queue", &FieldValue::LongString(b"src")).unwrap();
    own.put(b"reason", &FieldValue::LongString(b"rejected")).unwrap();
    own.put(b"count", &FieldValue::I64(7)).unwrap();
    put_array(&mut headers, "x-death", &[FieldValue::Table(own.as_table().unwrap())]);
    headers.put(b"x-first-death-queue", &FieldValue::LongString(b"old")).unwrap();
    headers.put(b"x-last-death-reason", &FieldValue::LongString(b"mine")).unwrap();
    copies(&mut headers);
    let mut properties = PropertiesBuilder::new();
    properties.set_headers(&headers.into_content());
    let dead = Walk::publish("src", &properties).dies("src", "", Some("dlq"), Reason::Rejected);
    assert_eq!(hex(&dead.properties), golden::CLIENTS_OWN);
    assert!(
        dead.notes.extra_keys.is_empty(),
        "CC holds no longer once a dead-letter routing key took its place"
    );
}

#[test]
fn a_second_death_comes_first_and_the_first_one_is_remembered() {
    let mut headers = TableWriter::new();
    copies(&mut headers);
    let mut properties = PropertiesBuilder::new();
    properties.set_headers(&headers.into_content()).set_text(Property::Expiration, b"5000");
    let mut walk = Walk::publish("src", &properties);
    walk.dies("src", "", Some("src2"), Reason::Rejected);
    let dead = walk.dies("src2", "dlx", None, Reason::Rejected);
    assert_eq!(hex(&dead.properties), golden::TWO_HOPS);
    assert_eq!((&*dead.exchange, &*dead.routing_key), (&b"dlx"[..], &b"src2"[..]));
}

#[test]
fn rounds_are_counted_and_one_rejection_keeps_them_going() {
    let mut headers = TableWriter::new();
    headers.put(b"app", &FieldValue::I32(1)).unwrap();
    let mut properties = PropertiesBuilder::new();
    properties.set_headers(&headers.into_content());
    let mut walk = Walk::publish("w", &properties);
    let mut dead = None;
    for _ in 0..3 {
        assert!(!walk.dies("w", "", Some("r"), Reason::Rejected).is_cycle("r"));
        dead = Some(walk.dies("r", "", Some("w"), Reason::Expired));
        assert!(!dead.as_ref().unwrap().is_cycle("w"));
    }
    assert_eq!(hex(&dead.unwrap().properties), golden::THREE_ROUNDS);
}

#[test]
fn a_way_back_without_a_rejection_is_a_cycle() {
    let mut walk = Walk::publish("a", &PropertiesBuilder::new());
    assert!(walk.dies("a", "", Some("a"), Reason::Expired).is_cycle("a"));
    let dead = walk.dies("b", "", Some("a"), Reason::MaxLength);
    assert!(dead.is_cycle("a") && dead.is_cycle("b") && !dead.is_cycle("c"));
    assert!(!walk.dies("c", "", Some("a"), Reason::Rejected).is_cycle("a"));
    let dead = walk.dies("d", "", Some("a"), Reason::DeliveryLimit);
    assert!(!dead.is_cycle("a"), "c's rejection lies between");
    assert!(dead.is_cycle("d"));
}

#[test]
fn without_a_dead_letter_routing_key_all_keys_stay() {
    let mut headers = TableWriter::new();
    copies(&mut headers);
    let mut properties = PropertiesBuilder::new();
    properties.set_headers(&headers.into_content());
    let dead = Walk::publish("src", &properties).dies("src", "dlx", None, Reason::Rejected);
    assert_eq!(dead.notes.extra_keys, [Box::from(&b"cc1"[..]), Box::from(&b"cc2"[..])]);
    let view = PropertyView::parse(&dead.properties).unwrap();
    assert!(view.headers_table().unwrap().get(b"BCC").is_none());
}
