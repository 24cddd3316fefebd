"""What the development broker is told: the text of its server.properties.

In: two ports. Out: the settings of one KRaft node that is broker and controller at once, quick to take over
its own place after kill -9, and with topics that keep their time of arrival (history would otherwise be deleted).
"""

LOG_FOLDER = "log"

# One laptop: no replicas, few partitions for the broker's own topics, group joins without a waiting time.
_FIXED: dict[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "num.partitions": "8",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "2",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After kill -9 the broker is refused until its old session ends: 12.6 s by default, with these 5 to 8.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Retention and index go by this stamp; the producer's would delete chat that is older than the retention.
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": str(8 * 1024 * 1024),
    "replica.fetch.max.bytes": str(8 * 1024 * 1024),
    "log.retention.hours": "-1",
    # Deleting a topic in a test gives its disk back soon.
    "log.segment.delete.delay.ms": "1000",
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "controlled.shutdown.enable": "true",
}


def server_properties(port: int, controller_port: int) -> str:
    """The properties file; both ports on 127.0.0.1 only."""
    settings = _FIXED | {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        # Relative to where the broker is started: a path of the user's may hold commas or backslashes.
        "log.dirs": LOG_FOLDER,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


LOG4J_PROPERTIES = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
"""
