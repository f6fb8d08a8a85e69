"""Evidence directories: made by `unitd export`, checked by `unitd verify`. No part of the five processes."""
