//! The page of codes says what the code says.

use std::fmt::Write as _;
use std::path::Path;

use millrace_model::Code;

const HEAD: &str = "# Codes

Every fault of a pipeline and every dead letter has a code that keeps its meaning over versions. It stands in logs, in
`/health/ready`, in the label `code` of metrics, and in the header `millrace.error.code` of dead letters.

| code | what it means | what to do |
|---|---|---|
";

#[test]
fn the_page_of_codes_lists_each_one() {
    let mut expected = HEAD.to_owned();
    for code in Code::ALL {
        writeln!(expected, "| {code} | {} | {} |", code.title(), code.help()).expect("text takes text");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fault-codes.md");
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page is written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == expected, "renew docs/fault-codes.md: MILLRACE_WRITE_DOCS=1 cargo test -p millrace-model");
}
