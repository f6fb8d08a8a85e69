"""The wire, as structs that generate the schemas: unitd to the control room, and its processes to each other."""
