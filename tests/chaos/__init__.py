"""`python -m tests.chaos`: the pipeline under fire, on Apache Kafka or a fake Pub/Sub; and what came of it.

Kills pipeline and broker at random, pauses the broker, hands over from one instance to the next and
refuses writes of dead letters, while news with poison in it keeps coming. Then every id that went in
is looked for among what came out.
"""
