"""What waits for a group, as brokers know it: for who looks on, and reads nothing."""

from __future__ import annotations

from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.subscription import Subscription
from transforms.per_process import PerProcess
from transforms.tally import Backlog

#: How long brokers may take to say what the group has committed, in seconds.
TIMEOUT = 5.0
_clients: PerProcess[str, OffsetsClient] = PerProcess()


def lag_of(subscription: Subscription) -> Backlog:
    """How many records wait: from where the group stands to where topics end.

    Ends of transactions count as records, as brokers count them.

    Raises:
        KafkaError: Brokers don't answer.
    """
    s = subscription
    client = _clients.get(s.run, lambda: OffsetsClient(s.settings, s.group, s.isolation_level))
    ends = {tp: end for tp, end in client.look(s.topics).ends.items() if end is not None}
    stands = client.committed(ends, timeout=TIMEOUT)
    stands |= client.beginning(tp for tp in ends if tp not in stands)
    return Backlog(sum(max(0, end - stands[tp]) for tp, end in ends.items()), None)


def close_lags() -> None:
    """Closes all clients."""
    for client in _clients.clear():
        client.close()
