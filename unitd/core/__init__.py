"""The process that must never stop: button to alarm. Imports no media library and opens no serial port."""
