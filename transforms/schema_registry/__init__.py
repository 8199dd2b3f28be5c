"""Schema registries that speak Confluent's REST API: settings, client, and schemas by their ids.

The client is made of requests, which Beam brings along as it does fastavro and protobuf. Confluent's
own needs more packages, caches what it is told without the format that was asked for, and tries again
without a word.
"""
