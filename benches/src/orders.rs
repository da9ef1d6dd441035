//! The standard workload's records: seeded order events of 12 fields, the same in every run.

use std::fmt::Write as _;

const STATUSES: [&str; 6] = ["NEW", "PAID", "SHIPPED", "DELIVERED", "CANCELLED", "RETURNED"];
const CURRENCIES: [&str; 6] = ["EUR", "USD", "GBP", "PLN", "SEK", "JPY"];
const COUNTRIES: [&str; 8] = ["de", "fr", "us", "gb", "pl", "se", "jp", "nl"];
const FIRST: [&str; 8] = ["anna", "bruno", "clara", "david", "elena", "felix", "greta", "hugo"];
const LAST: [&str; 8] = ["mueller", "smith", "garcia", "kowalski", "tanaka", "dubois", "rossi", "jansen"];
const DOMAINS: [&str; 5] = ["example.com", "mail.example.org", "shop.example.net", "corp.example.eu", "web.example.io"];
const WORDS: [&str; 12] =
    ["please", "leave", "parcel", "behind", "garden", "door", "ring", "twice", "neighbour", "fragile", "gift", "wrap"];
/// The index of `CANCELLED`, which job T drops.
const CANCELLED: usize = 4;

/// One order.
pub(crate) struct Order {
    id: i64,
    pub(crate) customer: String,
    email: String,
    amount: f64,
    currency: &'static str,
    created_at: i64,
    status: usize,
    coupon: Option<String>,
    note: Option<String>,
    country: &'static str,
    quantity: i64,
    items: [(String, f64); 2],
}

/// Vigna's `SplitMix64`: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64)]
    }

    fn cents(&mut self, limit: u64) -> f64 {
        self.below(limit) as f64 / 100.0
    }
}

impl Order {
    /// The order number `number`.
    pub(crate) fn number(number: u64) -> Self {
        let mut random = Random(0x00C0_FFEE ^ number.wrapping_mul(0xD134_2543_DE82_EF95));
        let (customer, email) = customer(random.below(500_000) as u64);
        Self {
            id: 1_000_000 + number as i64,
            customer,
            email,
            status: status(random.below(100)),
            coupon: (random.below(100) < 30).then(|| format!("SAVE{:04}", random.below(10_000))),
            note: (random.below(100) < 60).then(|| note(&mut random)),
            items: [item(&mut random), item(&mut random)],
            amount: random.cents(1_000_000),
            currency: random.one_of(&CURRENCIES),
            created_at: 1_760_000_000_000 + number as i64 * 37 + random.below(37) as i64,
            country: random.one_of(&COUNTRIES),
            quantity: 1 + random.below(9) as i64,
        }
    }

    /// The same with another coupon.
    pub(crate) fn with_coupon(self, coupon: String) -> Self {
        Self { coupon: Some(coupon), ..self }
    }

    /// Whether job T drops it.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.status == CANCELLED
    }

    /// The order in Avro, framed with the schema id `id`, into `out`.
    pub(crate) fn encode(&self, id: u32, out: &mut Vec<u8>) {
        out.clear();
        out.push(0);
        out.extend_from_slice(&id.to_be_bytes());
        long(self.id, out);
        text(&self.customer, out);
        text(&self.email, out);
        out.extend_from_slice(&self.amount.to_le_bytes());
        text(self.currency, out);
        long(self.created_at, out);
        long(self.status as i64, out);
        optional(self.coupon.as_deref(), out);
        optional(self.note.as_deref(), out);
        text(self.country, out);
        long(self.quantity, out);
        long(self.items.len() as i64, out);
        for (sku, price) in &self.items {
            text(sku, out);
            out.extend_from_slice(&price.to_le_bytes());
        }
        long(0, out);
    }

    /// The names of the columns of [`Self::csv`].
    pub(crate) const CSV_HEADING: &str = "id,customer_id,email,amount,currency,created_at,status,coupon,note,country,quantity\n";

    /// The order as CSV without its items, at the end of `out`. None of its texts needs quotes.
    pub(crate) fn csv(&self, out: &mut String) {
        let Self { id, customer, email, amount, currency, created_at, country, quantity, .. } = self;
        let (status, coupon, note) = (STATUSES[self.status], self.coupon.as_deref(), self.note.as_deref());
        let (coupon, note) = (coupon.unwrap_or_default(), note.unwrap_or_default());
        write!(out, "{id},{customer},{email},{amount},{currency},{created_at},{status},{coupon},{note},{country},{quantity}")
            .expect(STRING);
    }

    /// The order as a JSON object, at the end of `out`.
    pub(crate) fn json(&self, out: &mut String) {
        let Self { id, customer, email, amount, currency, created_at, country, quantity, .. } = self;
        let text = |text: &Option<String>| text.as_ref().map_or("null".to_owned(), |text| format!("\"{text}\""));
        let (status, coupon, note) = (STATUSES[self.status], text(&self.coupon), text(&self.note));
        let items = self.items_json();
        write!(
            out,
            r#"{{"id":{id},"customer_id":"{customer}","email":"{email}","amount":{amount},"currency":"{currency}","created_at":{created_at},"status":"{status}","coupon":{coupon},"note":{note},"country":"{country}","quantity":{quantity},"items":{items}}}"#
        )
        .expect(STRING);
    }

    fn items_json(&self) -> String {
        let [first, second] = &self.items;
        format!(r#"[{{"sku":"{}","price":{}}},{{"sku":"{}","price":{}}}]"#, first.0, first.1, second.0, second.1)
    }

    /// The order as a line of PostgreSQL's text format (COPY), into `out`.
    pub(crate) fn copy_line(&self, out: &mut String) {
        let null = |text: &Option<String>| text.clone().unwrap_or_else(|| "\\N".to_owned());
        let items = self.items_json();
        writeln!(
            out,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{items}",
            self.id,
            self.customer,
            self.email,
            self.amount,
            self.currency,
            timestamp(self.created_at),
            STATUSES[self.status],
            null(&self.coupon),
            null(&self.note),
            self.country,
            self.quantity,
        )
        .expect(STRING);
    }
}

const STRING: &str = "a String takes everything";

fn customer(number: u64) -> (String, String) {
    let mut random = Random(number ^ 0x00AB_CDEF);
    let (a, b) = (random.next(), random.next());
    let id = format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xffff, b >> 48, b & 0xffff_ffff_ffff);
    let email = format!("{}.{}{number}@{}", random.one_of(&FIRST), random.one_of(&LAST), random.one_of(&DOMAINS));
    (id, email)
}

fn status(percent: usize) -> usize {
    [25, 50, 70, 85, 95].iter().take_while(|&&limit| percent >= limit).count()
}

fn note(random: &mut Random) -> String {
    let count = 5 + random.below(6);
    (0..count).map(|_| random.one_of(&WORDS)).collect::<Vec<_>>().join(" ")
}

fn item(random: &mut Random) -> (String, f64) {
    (format!("SKU-{:07}", random.below(2_000_000)), random.cents(50_000))
}

/// Milliseconds since the epoch as PostgreSQL reads them in a `timestamptz` column.
fn timestamp(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).map(|time| time.to_string()).unwrap_or_default()
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn text(value: &str, out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value.as_bytes());
}

fn optional(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        None => long(0, out),
        Some(value) => {
            long(1, out);
            text(value, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_is_the_standard_one() {
        let kept = (0..200_000).filter(|&number| !Order::number(number).is_cancelled()).count();
        assert!((0.895..0.905).contains(&(kept as f64 / 200_000.0)), "{kept}");
    }

    #[test]
    fn an_order_is_json_and_a_line_of_csv() {
        let (mut json, mut csv) = (String::new(), String::new());
        Order::number(7).json(&mut json);
        Order::number(7).csv(&mut csv);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(12));
        assert_eq!(csv.split(',').count(), Order::CSV_HEADING.split(',').count());
        assert!(csv.starts_with("1000007,"));
    }

    #[test]
    fn a_time_is_written_as_postgresql_reads_it() {
        assert_eq!(timestamp(1_760_000_000_123), "2025-10-09T08:53:20.123Z");
    }
}
