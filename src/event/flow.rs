//! Flows.
//!
//! Source: Meta's page `flows/guides/flowswebhooks`.

use super::schema::{Id, List, UserText, object, string_enum};

object! {
    /// The status or health of a flow: field `flows`.
    pub struct Flow<'a> {
        /// Type of the event (`event`). Absent from warnings.
        pub event: Option<FlowEvent<'a>> = FlowEvent<'a>["event"],
        /// Id of the flow (`flow_id`).
        pub flow_id: Option<&'a str> = Id["flow_id"],
        /// Description for people (`message`).
        pub message: Option<&'a str> = UserText["message"],
        /// Status before the change (`old_status`). Absent if the flow was created.
        pub old_status: Option<FlowStatus<'a>> = FlowStatus<'a>["old_status"],
        /// Status after the change (`new_status`).
        pub new_status: Option<FlowStatus<'a>> = FlowStatus<'a>["new_status"],
        /// State of the alert (`alert_state`): `ACTIVATED` or `DEACTIVATED`.
        pub alert_state: Option<&'a str> = Id["alert_state"],
        /// Threshold of the alert, in the unit of the measured value (`threshold`).
        pub threshold: Option<f64> = f64["threshold"],
        /// Error rate, percent (`error_rate`).
        pub error_rate: Option<f64> = f64["error_rate"],
        /// Number of requests that were measured (`requests_count`).
        pub requests_count: Option<i64> = i64["requests_count"],
        /// Median latency, milliseconds (`p50_latency`).
        pub p50_latency: Option<f64> = f64["p50_latency"],
        /// 90th percentile of the latency, milliseconds (`p90_latency`).
        pub p90_latency: Option<f64> = f64["p90_latency"],
        /// Availability, percent (`availability`).
        pub availability: Option<f64> = f64["availability"],
        /// Errors by type (`errors[]`).
        pub errors: List<'a, FlowError<'a>> = List<'a, FlowError<'a>>["errors"],
        /// Warning for people (`warning`).
        pub warning: Option<&'a str> = UserText["warning"],
    }
}

string_enum! {
    /// The type of a [`Flow`] event: `event`.
    pub enum FlowEvent<'a> {
        /// Change of the status.
        StatusChange = "FLOW_STATUS_CHANGE",
        /// Error rate on the device.
        ClientErrorRate = "CLIENT_ERROR_RATE",
        /// Error rate of the endpoint.
        EndpointErrorRate = "ENDPOINT_ERROR_RATE",
        /// High latency of the endpoint.
        EndpointLatency = "ENDPOINT_LATENCY",
        /// Low availability of the endpoint.
        EndpointAvailability = "ENDPOINT_AVAILABILITY",
        /// Version that is about to be frozen or to expire.
        VersionExpiryWarning = "FLOW_VERSION_EXPIRY_WARNING",
    }
}

string_enum! {
    /// The status of a flow.
    pub enum FlowStatus<'a> {
        /// In development.
        Draft = "DRAFT",
        /// Published.
        Published = "PUBLISHED",
        /// Deprecated.
        Deprecated = "DEPRECATED",
        /// Blocked.
        Blocked = "BLOCKED",
        /// Rate limited.
        Throttled = "THROTTLED",
    }
}

object! {
    /// Errors of one type: an element of `errors[]`.
    pub struct FlowError<'a> {
        /// Type of the error (`error_type`), for example `TIMEOUT`.
        pub error_type: Option<&'a str> = Id["error_type"],
        /// Error rate, percent (`error_rate`).
        pub error_rate: Option<f64> = f64["error_rate"],
        /// Number of errors (`error_count`).
        pub error_count: Option<i64> = i64["error_count"],
    }
}
