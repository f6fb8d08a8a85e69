"""The process `record`: camera streams, the evidence ring, access units for the others, clips on request."""
