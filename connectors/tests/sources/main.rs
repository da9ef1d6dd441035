//! The conformance suite of `Source`, run by every source.
//!
//! PostgreSQL and MariaDB (or MySQL) are the servers that `MILLRACE_TEST_POSTGRES` and `MILLRACE_TEST_MYSQL` name.

mod failover;
mod places;
mod queries;
mod rows;
mod suite;
mod types;

macro_rules! conformance {
    ($($test:ident)*) => {
        mod csv_conforms {
            $(#[tokio::test]
            async fn $test() {
                crate::suite::$test(&crate::places::Csv::new()).await;
            })*
        }

        mod sqlite_conforms {
            $(#[tokio::test]
            async fn $test() {
                crate::suite::$test(&crate::places::Sqlite::new()).await;
            })*
        }

        mod postgres_conforms {
            $(#[tokio::test]
            async fn $test() {
                crate::suite::$test(&crate::places::Postgres::new(stringify!($test)).await).await;
            })*
        }

        mod mysql_conforms {
            $(#[tokio::test]
            async fn $test() {
                crate::suite::$test(&crate::places::Mysql::new(stringify!($test)).await).await;
            })*
        }
    };
}

conformance! {
    records_come_in_order_and_each_once
    reading_goes_on_from_every_position
    a_source_opened_at_its_end_brings_what_comes_later
    nothing_comes_of_an_empty_source
    a_bad_record_is_rejected_alone_with_its_original
    a_pull_that_is_dropped_loses_nothing
    an_origin_is_named_and_numbered
}
