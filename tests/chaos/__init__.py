"""`python -m tests.chaos`: the pipeline under fire, on Apache Kafka or Google's fake Pub/Sub.

Kills pipeline and broker at random, pauses the broker (or Pub/Sub, which has all in memory and is not
killed), hands over from one instance to the next and refuses writes of dead letters, while news with
poison in it keeps coming. Then every id that went in is looked for among what came out.
"""
