//! The conformance suite of `Sink`, run by every sink.
//!
//! PostgreSQL is the server that `MILLRACE_TEST_POSTGRES` names, such as `postgresql://postgres@127.0.0.1:5432/postgres`, and MariaDB that of
//! `MILLRACE_TEST_MYSQL`.

mod constraints;
mod everything;
mod failover;
mod growth;
mod lake;
mod mysql;
mod parked;
mod partitions;
mod postgres;
mod redis;
mod redshift;
mod replaced;
mod rows;
mod sqlite;
mod suite;
mod takeover;
mod warehouse;

/// Runs tests of the suite against a store, which `$new` makes for a test of that name.
macro_rules! run {
    ($new:expr; $($test:ident)*) => {
        $(#[tokio::test]
        async fn $test() {
            crate::suite::$test(&$new(stringify!($test)).await).await;
        })*
    };
}

/// What holds for every target, in the modes that it has.
macro_rules! every_target {
    ($new:expr) => {
        run! { $new;
            rows_and_positions_become_durable_together
            a_round_follows_another_in_the_same_sink
            a_crash_at_any_point_before_the_commit_leaves_nothing
            a_commit_whose_answer_was_lost_is_found_by_the_next_claim
            a_writer_whose_positions_were_moved_is_fenced
            one_moved_position_fences_all_of_a_commit
            a_claim_voids_the_round_that_is_open_and_may_be_repeated
            pipelines_have_positions_of_their_own
            positions_of_another_topic_are_refused
            positions_without_an_id_get_it_with_the_next_commit
            a_topic_that_is_accepted_fences_writers_of_the_one_before
            an_empty_batch_and_an_empty_round_move_positions_only
            a_later_row_or_deletion_of_a_key_wins
            an_append_has_no_deletions
            a_call_that_is_dropped_voids_its_round
            a_round_that_was_not_settled_is_not_committed
            every_type_and_its_null_arrive
            writers_that_start_at_once_make_the_tables_once
            check_tells_the_columns_without_a_server
            the_types_of_avro_have_columns
            names_are_taken_as_they_are_written
            the_first_row_of_a_key_stays_where_later_ones_are_ignored
            a_column_that_a_row_lacks_is_left_as_it_is
            a_table_that_is_cleared_keeps_only_what_comes_after
            rows_of_ten_megabytes_arrive
            as_many_columns_arrive_as_the_target_takes_and_one_more_is_refused_by_check
            a_writer_that_stands_still_keeps_no_successor_from_any_mode
            a_column_comes_with_the_first_row_that_has_it
            a_column_that_left_the_schema_stays
            loaders_that_grow_a_table_at_once_all_go_on
        }
    };
}

/// What holds for a store whose columns come in the transaction of the first rows that have them.
macro_rules! grows_in_transactions {
    ($new:expr) => {
        run! { $new;
            a_crash_at_any_point_before_the_commit_leaves_the_table_as_it_was
            a_claim_undoes_a_growth_that_was_not_committed
            a_column_that_was_deployed_comes_with_the_first_row_too
        }
    };
}

/// What holds for a store whose locks a successor can take away: SQLite's is a process's that stands as well.
macro_rules! takes_locks_away {
    ($new:expr) => {
        run! { $new;
            a_writer_that_stands_with_a_settled_round_keeps_no_successor
        }
    };
}

/// What holds for a store that keeps parked keys, and mirrors.
macro_rules! parks_keys {
    ($new:expr) => {
        run! { $new;
            parked_keys_change_with_the_positions_or_not_at_all
            a_truncation_and_what_waits_behind_it_are_one_transaction
        }
    };
}

/// What holds for every table of SQL besides: it has constraints, a catalogue, and loads that replace it.
macro_rules! every_table {
    ($new:expr) => {
        every_target! { $new }
        grows_in_transactions! { $new }
        run! { $new;
            positions_of_an_earlier_version_are_brought_up_to_date
            a_refused_row_is_rejected_alone
            a_rejection_names_the_column_and_gives_the_reason
            a_batch_that_is_refused_whole_still_moves_positions
            refused_rows_among_many_are_all_found
            a_refused_row_does_not_hide_the_earlier_one_of_its_key
            a_table_that_does_not_fit_is_refused_with_what_to_do
            columns_that_fill_themselves_may_stand_beside_those_of_the_schema
            a_query_shows_columns_without_rows_and_changes_nothing
            a_refused_row_leaves_its_key_to_the_next_one
            a_row_that_is_there_may_lack_what_the_target_requires
            a_load_takes_the_place_of_all_rows_when_it_has_ended_everywhere
            a_load_that_begins_voids_what_came_before_it_and_never_ended
            the_last_row_of_a_key_counts_in_a_load_with_keys
            a_load_that_the_target_refuses_leaves_the_table_as_it_is
            a_crash_before_the_commit_of_the_last_end_leaves_the_table_and_the_load
            a_column_comes_with_a_load_that_is_under_way
            a_loader_that_does_not_know_a_column_brings_it_into_the_table
            a_column_that_left_the_schema_keeps_the_values_of_the_load
            a_column_that_the_owner_has_added_is_loaded
            a_claim_undoes_the_growth_of_a_load
            a_type_is_widened_while_a_load_is_under_way
            a_schema_that_the_table_can_not_take_is_refused_and_the_former_goes_on
        }
    };
}

mod sqlite_conforms {
    every_table! { crate::warehouse::Sqlite::of }
    parks_keys! { crate::warehouse::Sqlite::of }
    run! { crate::warehouse::Sqlite::of;
        a_round_is_staged_again_without_what_waits_for_a_refused_row
    }
}

mod mysql_conforms {
    every_table! { crate::mysql::Mysql::new }
    takes_locks_away! { crate::mysql::Mysql::new }
    parks_keys! { crate::mysql::Mysql::new }
    run! { crate::mysql::Mysql::new;
        a_round_is_staged_again_without_what_waits_for_a_refused_row
    }
}

mod redis_hashes_conform {
    every_target! { crate::redis::Redis::hashes }
    takes_locks_away! { crate::redis::Redis::hashes }
    parks_keys! { crate::redis::Redis::hashes }
}

mod redis_json_conforms {
    every_target! { crate::redis::Redis::json }
    parks_keys! { crate::redis::Redis::json }
}

mod postgres_conforms {
    every_table! { crate::warehouse::Postgres::new }
    takes_locks_away! { crate::warehouse::Postgres::new }
    parks_keys! { crate::warehouse::Postgres::new }
    run! { crate::warehouse::Postgres::new;
        a_round_is_staged_again_without_what_waits_for_a_refused_row
    }
}

mod lake_conforms {
    every_target! { crate::lake::Lake::local }
    takes_locks_away! { crate::lake::Lake::local }
    grows_in_transactions! { crate::lake::Lake::local }
}

mod lake_in_s3_conforms {
    every_target! { crate::lake::Lake::s3 }
    grows_in_transactions! { crate::lake::Lake::s3 }
}

// What another store may do otherwise: to put only where there is nothing, at once with others, and in parts.
mod lake_in_azure_conforms {
    run! { crate::lake::Lake::azure;
        rows_and_positions_become_durable_together
        a_commit_whose_answer_was_lost_is_found_by_the_next_claim
        a_writer_whose_positions_were_moved_is_fenced
        writers_that_start_at_once_make_the_tables_once
        rows_of_ten_megabytes_arrive
        loaders_that_grow_a_table_at_once_all_go_on
    }
}

// Not here: tests of what only the others have (constraints that are enforced, unique indexes, columns that fill themselves in a fixed
// way, deletions by mirrors, replacements), and of all types, which the scripted server has not.
mod redshift_conforms {
    takes_locks_away! { crate::redshift::Redshift::new }
    run! { crate::redshift::Redshift::new;
        rows_and_positions_become_durable_together
        a_round_follows_another_in_the_same_sink
        a_crash_at_any_point_before_the_commit_leaves_nothing
        a_commit_whose_answer_was_lost_is_found_by_the_next_claim
        a_writer_whose_positions_were_moved_is_fenced
        one_moved_position_fences_all_of_a_commit
        a_claim_voids_the_round_that_is_open_and_may_be_repeated
        pipelines_have_positions_of_their_own
        positions_of_another_topic_are_refused
        positions_without_an_id_get_it_with_the_next_commit
        a_topic_that_is_accepted_fences_writers_of_the_one_before
        positions_of_an_earlier_version_are_brought_up_to_date
        an_empty_batch_and_an_empty_round_move_positions_only
        a_later_row_or_deletion_of_a_key_wins
        an_append_has_no_deletions
        a_call_that_is_dropped_voids_its_round
        a_round_that_was_not_settled_is_not_committed
        check_tells_the_columns_without_a_server
        names_are_taken_as_they_are_written
        the_first_row_of_a_key_stays_where_later_ones_are_ignored
        a_writer_that_stands_still_keeps_no_successor_from_any_mode
        parked_keys_change_with_the_positions_or_not_at_all
    }
}
