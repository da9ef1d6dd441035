//! What librdkafka's errors mean for a pipeline: classified here, once.

use millrace_model::{Code, Fault, Retry};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// The fault that `error` is, met while `doing` something.
pub(super) fn fault(doing: &str, error: KafkaError) -> Fault {
    let (code, retry) = classify(&error);
    let fault = Fault::new(code, retry, format!("{doing} failed; {}", code.help()));
    match error {
        // The value may be a secret; the setting's name is enough.
        KafkaError::ClientConfig(_, reason, setting, _) => fault.because(format!("{setting}: {reason}")),
        error => fault.because(error),
    }
}

/// The fault of a topic that is not there.
pub(super) fn topic_missing(topic: &str) -> Fault {
    Fault::operator(Code::KafkaTopicMissing, format!("topic {topic} does not exist; {}", Code::KafkaTopicMissing.help()))
}

fn classify(error: &KafkaError) -> (Code, Retry) {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => (Code::KafkaConfiguration, Retry::Operator),
        KafkaError::Transaction(native) => classify_code(native.code()),
        KafkaError::AdminOp(code) => classify_code(*code),
        error => error.rdkafka_error_code().map_or((Code::KafkaOther, Retry::BackOff), classify_code),
    }
}

/// Only what an operator can mend halts; whatever Kafka may answer differently next time is tried again.
fn classify_code(code: RDKafkaErrorCode) -> (Code, Retry) {
    use RDKafkaErrorCode as E;
    match code {
        E::Authentication | E::SaslAuthenticationFailed | E::UnsupportedSASLMechanism => (Code::KafkaAuthentication, Retry::Operator),
        E::TopicAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed => (Code::KafkaAuthorization, Retry::Operator),
        E::UnknownTopicOrPartition | E::UnknownTopic | E::UnknownPartition => (Code::KafkaTopicMissing, Retry::Operator),
        E::Fenced | E::ProducerFenced | E::InvalidProducerEpoch | E::FencedInstanceId | E::AssignmentLost => {
            (Code::KafkaFenced, Retry::BackOff)
        }
        E::IllegalGeneration | E::UnknownMemberId | E::RebalanceInProgress => (Code::KafkaFenced, Retry::BackOff),
        E::MessageSizeTooLarge | E::InvalidMessageSize => (Code::KafkaTooLarge, Retry::Operator),
        // Such as no key in a compacted topic, or a timestamp too far ahead: sending it again changes nothing.
        E::InvalidRecord | E::InvalidTimestamp => (Code::KafkaOther, Retry::Operator),
        E::AutoOffsetReset | E::OffsetOutOfRange => (Code::KafkaPositionGone, Retry::Operator),
        E::InvalidConfig | E::PolicyViolation | E::InvalidReplicationFactor | E::InvalidPartitions | E::InvalidTopic | E::SSL => {
            (Code::KafkaConfiguration, Retry::Operator)
        }
        E::AllBrokersDown | E::BrokerTransportFailure | E::Resolve | E::OperationTimedOut | E::MessageTimedOut | E::RequestTimedOut => {
            (Code::KafkaUnavailable, Retry::BackOff)
        }
        // A leader or a coordinator is on its way from one broker to another, or to its first.
        E::NotLeaderForPartition
        | E::LeaderNotAvailable
        | E::NotCoordinator
        | E::CoordinatorNotAvailable
        | E::CoordinatorLoadInProgress => (Code::KafkaUnavailable, Retry::BackOff),
        _ => (Code::KafkaOther, Retry::BackOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_credentials_wait_for_an_operator_and_name_the_variables() {
        let fault = fault("connecting", KafkaError::Global(RDKafkaErrorCode::Authentication));
        assert_eq!(fault.retry(), Retry::Operator);
        assert!(fault.to_string().contains("KAFKA_PASSWORD"), "{fault}");
    }

    #[test]
    fn a_setting_that_is_refused_does_not_show_its_value() {
        let refused = rdkafka::ClientConfig::new().set("ssl.key.pasword", "hunter2").create::<rdkafka::consumer::BaseConsumer>();
        let fault = fault("opening a client", refused.err().expect("there is no such setting"));
        let shown = format!("{fault} {fault:?}");
        assert!(shown.contains("ssl.key.pasword") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_partition_whose_leader_is_on_its_way_is_away_for_a_moment() {
        let fault = fault("asking for an end", KafkaError::MetadataFetch(RDKafkaErrorCode::NotLeaderForPartition));
        assert_eq!((fault.code(), fault.retry()), (Code::KafkaUnavailable, Retry::BackOff), "{fault}");
    }

    #[test]
    fn a_topic_that_can_not_be_made_waits_for_an_operator() {
        let retry = |code| fault("making a topic", KafkaError::AdminOp(code)).retry();
        assert_eq!(retry(RDKafkaErrorCode::InvalidReplicationFactor), Retry::Operator);
        assert_eq!(retry(RDKafkaErrorCode::TopicAuthorizationFailed), Retry::Operator);
        assert_eq!(retry(RDKafkaErrorCode::RequestTimedOut), Retry::BackOff);
    }

    #[test]
    fn a_broker_that_is_away_is_waited_for() {
        let fault = fault("connecting", KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure));
        assert_eq!(fault.retry(), Retry::BackOff);
    }

    #[test]
    fn a_fenced_member_starts_over() {
        let fault = fault("committing", KafkaError::ConsumerCommit(RDKafkaErrorCode::IllegalGeneration));
        assert_eq!((fault.code(), fault.retry()), (Code::KafkaFenced, Retry::BackOff));
    }
}
