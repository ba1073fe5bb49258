use super::schema::{Id, List, Text, names, object};

object! {
    /// The state or health of a flow: field `flows`.
    pub struct Flow<'a> {
        /// What happened. Absent when Meta only warns.
        pub event: Option<FlowEvent<'a>> = FlowEvent<'a>["event"],
        /// The flow.
        pub flow_id: Option<&'a str> = Id["flow_id"],
        /// A sentence.
        pub message: Option<&'a str> = Text["message"],
        /// Before; absent when it was made.
        pub old_status: Option<FlowStatus<'a>> = FlowStatus<'a>["old_status"],
        /// Now.
        pub new_status: Option<FlowStatus<'a>> = FlowStatus<'a>["new_status"],
        /// `ACTIVATED` or `DEACTIVATED`.
        pub alert_state: Option<&'a str> = Id["alert_state"],
        /// Where the alert begins.
        pub threshold: Option<f64> = f64["threshold"],
        /// Percent.
        pub error_rate: Option<f64> = f64["error_rate"],
        /// Of how many requests.
        pub requests_count: Option<i64> = i64["requests_count"],
        /// Milliseconds.
        pub p50_latency: Option<f64> = f64["p50_latency"],
        /// Milliseconds.
        pub p90_latency: Option<f64> = f64["p90_latency"],
        /// Percent.
        pub availability: Option<f64> = f64["availability"],
        /// Which errors.
        pub errors: List<'a, FlowError<'a>> = List<'a, FlowError<'a>>["errors"],
        /// What Meta warns of.
        pub warning: Option<&'a str> = Text["warning"],
    }
}

names! {
    /// What happened to a flow.
    pub enum FlowEvent<'a> {
        /// Its status changed.
        StatusChange = "FLOW_STATUS_CHANGE",
        /// Errors on the device.
        ClientErrorRate = "CLIENT_ERROR_RATE",
        /// Errors of the endpoint.
        EndpointErrorRate = "ENDPOINT_ERROR_RATE",
        /// The endpoint is slow.
        EndpointLatency = "ENDPOINT_LATENCY",
        /// The endpoint is not there.
        EndpointAvailability = "ENDPOINT_AVAILABILITY",
        /// Its version is about to be frozen or to expire.
        VersionExpiryWarning = "FLOW_VERSION_EXPIRY_WARNING",
    }
}

names! {
    /// The status of a flow.
    pub enum FlowStatus<'a> {
        /// Being made.
        Draft = "DRAFT",
        /// In use.
        Published = "PUBLISHED",
        /// No longer to be used.
        Deprecated = "DEPRECATED",
        /// Stopped.
        Blocked = "BLOCKED",
        /// Slowed down.
        Throttled = "THROTTLED",
    }
}

object! {
    /// Errors of a flow.
    pub struct FlowError<'a> {
        /// For example `TIMEOUT`.
        pub error_type: Option<&'a str> = Id["error_type"],
        /// Percent.
        pub error_rate: Option<f64> = f64["error_rate"],
        /// How many.
        pub error_count: Option<i64> = i64["error_count"],
    }
}
