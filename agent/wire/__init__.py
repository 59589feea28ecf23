"""The wire: batches, acks, hello, orders and topics. Pure; the center imports this and nothing else of the agent."""
