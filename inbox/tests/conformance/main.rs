//! What an inbox promises, on a real PostgreSQL that the tests start and on SQLite files.
//!
//! Needs the Debian package `postgresql`.

#![cfg(test)]

#[path = "../common/mod.rs"]
pub(crate) mod common;

mod durability;
mod failures;
mod files;
mod gathering;
mod leases;
mod limits;
mod operators;
mod order;
mod plans;
mod receiving;
mod renames;
mod schema;
mod settings;
mod shutdown;
mod transactions;

/// Each test on both databases.
macro_rules! on_both {
    ($($module:ident: $($name:ident),+;)+) => {
        mod postgres {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(&crate::common::Db::postgres().await).await;
                }
            )+)+
        }
        mod sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    crate::$module::$name(&crate::common::Db::sqlite().await).await;
                }
            )+)+
        }
    };
}

on_both! {
    receiving: everything_is_stored_before_200, a_delivery_that_multiplies_is_refused, a_redelivery_in_another_grouping_is_not_stored_again,
        overlapping_deliveries_do_not_deadlock, what_is_forgotten_is_stored_again,
        indistinguishable_events_are_all_stored, kinds_are_left_out_at_the_door,
        each_event_of_a_delivery_is_counted_once,
        unknown_kinds_are_refused, without_the_layer_the_answer_is_500, a_slow_database_is_503,
        a_database_that_refuses_is_503,
        nothing_personal_is_shown, a_large_delivery_is_stored_within_a_second;
    order: each_conversation_is_in_order_and_one_at_a_time, conversations_run_at_the_same_time,
        meta_s_time_comes_before_arrival, statuses_do_not_hold_up_messages, each_class_has_slots_of_its_own,
        a_changed_id_stays_in_its_conversation, a_late_announcement_joins_what_waits, a_busy_conversation_does_not_starve_others;
    renames: a_kind_that_is_not_stored_changes_names, opposite_renames_end_in_one_conversation,
        what_follows_a_change_in_its_delivery_needs_no_move,
        what_is_being_handled_is_not_moved,
        a_dead_letter_is_replayed_in_its_renamed_conversation;
    gathering: a_burst_is_one_call, the_longest_time_ends_a_burst, statuses_do_not_gather,
        what_arrives_during_a_run_is_gathered,
        a_batch_that_fails_is_handed_out_one_by_one,
        an_event_that_failed_too_often_has_no_neighbours, a_poison_message_dies_alone,
        a_message_that_kills_its_process_dies_alone, a_batch_has_a_key_of_its_own,
        a_batch_of_single_attempts_is_handed_out_one_by_one,
        a_batch_ends_before_an_unreadable_event, a_batch_is_of_one_person, a_batch_has_no_more_events_than_its_limit,
        a_worker_without_batches_has_no_limit_of_them;
    leases: a_handler_longer_than_the_lease_runs_once, a_dead_worker_is_replaced,
        a_stranger_cannot_finish_a_run, a_message_that_kills_its_process_becomes_a_dead_letter,
        a_renewal_does_not_shorten_a_lease, a_lane_that_was_leased_twice_is_renewed,
        a_stolen_lease_is_not_renewed, a_run_that_ended_with_its_process_is_an_attempt,
        a_run_that_was_recorded_is_no_attempt_of_the_next,
        a_dead_letter_counts_runs_that_ended_with_their_process;
    failures: a_failure_is_retried_later, a_new_message_does_not_shorten_the_pause, a_dead_letter_frees_its_conversation,
        dead_letters_are_replayed_and_discarded, verdicts_are_obeyed, the_causes_of_an_error_are_kept, the_last_reason_is_kept,
        fewer_attempts_than_before_keep_the_last_reason, a_panic_is_a_failure,
        a_handler_that_hangs_is_dropped,
        an_unreadable_event_is_retried_later_and_later,
        an_event_that_the_database_cannot_read_holds_up_nobody_else, the_pause_doubles_up_to_the_longest;
    operators: each_state_of_a_lane_is_told, ages_and_times_are_told_in_their_units,
        what_is_over_has_no_content,
        a_held_conversation_is_woken_by_nothing,
        a_purge_removes_what_has_expired_and_nothing_else;
    transactions: effects_and_mark_commit_together, a_transaction_of_the_other_database_is_an_error,
        a_run_has_one_transaction_at_a_time, without_done_nothing_is_written,
        a_batch_is_done_by_one_commit, the_mark_is_fenced,
        a_transaction_that_its_handler_ended_is_not_done,
        what_follows_done_is_not_aborted,
        verdicts_after_a_rollback_are_obeyed;
    shutdown: running_handlers_finish, a_shutdown_that_uses_the_inbox_is_not_held_up,
        what_does_not_finish_is_handed_over,
        workers_are_woken_at_once, another_process_is_woken,
        whatever_brings_work_wakes_workers;
    settings: every_setting_works_at_its_extremes,
        builder_settings_work_at_their_extremes_or_are_refused_by_name,
        a_verdict_with_any_pause_is_obeyed;
    schema: two_processes_migrate_at_once, a_later_schema_is_refused,
        a_later_schema_that_works_with_older_code_is_opened,
        a_later_schema_is_refused_before_anything_is_written, the_count_of_a_lane_heals,
        forgotten_events_are_found;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_opened_by_many_at_once() {
    schema::a_new_file_is_opened_by_many_at_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_503() {
    receiving::a_server_that_is_away_is_503().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_with_200_is_committed() {
    receiving::what_is_answered_with_200_is_committed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_runs_leave_no_transaction() {
    receiving::cancelled_runs_leave_no_transaction().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_conversation_does_not_hold_up_others() {
    order::a_locked_conversation_does_not_hold_up_others().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_one_delivery() {
    receiving::a_full_disk_costs_one_delivery().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_ended_itself_is_not_done() {
    transactions::a_transaction_that_ended_itself_is_not_done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_lane_does_not_end_other_leases() {
    leases::a_locked_lane_does_not_end_other_leases().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_lane_is_no_busy_loop() {
    leases::a_locked_lane_is_no_busy_loop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_timed_out_does_not_wait_on_the_server() {
    receiving::a_store_that_timed_out_does_not_wait_on_the_server().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_timed_out_ends_on_the_server() {
    limits::a_statement_that_timed_out_ends_on_the_server().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_transactions_do_not_idle() {
    transactions::own_transactions_do_not_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_is_too_small_is_refused() {
    limits::a_pool_that_is_too_small_is_refused().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_event_holds_up_its_conversation_only() {
    limits::a_locked_event_holds_up_its_conversation_only().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_costs_no_attempt() {
    limits::a_locked_table_costs_no_attempt().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_others_lock_in_turn_is_renewed() {
    limits::a_lane_that_others_lock_in_turn_is_renewed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_are_told_of_locks() {
    limits::operators_are_told_of_locks().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_transaction_do_not_stay() {
    limits::settings_of_a_transaction_do_not_stay().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_on_the_disk_of_the_server() {
    durability::what_is_stored_is_on_the_disk_of_the_server().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_isolation_does_not_matter() {
    durability::the_default_isolation_does_not_matter().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renames_do_not_deadlock() {
    renames::renames_do_not_deadlock().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_schema_is_not_made_beside_the_first() {
    schema::a_second_schema_is_not_made_beside_the_first().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_index_depends_on_a_language() {
    schema::no_index_depends_on_a_language().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_create_opens_a_schema_that_is_there() {
    schema::a_user_without_create_opens_a_schema_that_is_there().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_ends_takes_no_later_notification_with_it() {
    shutdown::a_runtime_that_ends_takes_no_later_notification_with_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_timeout_is_waited_for() {
    receiving::the_store_timeout_is_waited_for().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_locks_lanes_in_their_order() {
    renames::a_rename_locks_lanes_in_their_order().await;
}
