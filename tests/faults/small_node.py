"""The real command with small write buffers, so that tables are written, and logs changed, every few blocks."""

from metrobloc.app import main
from metrobloc.engine import rocks

rocks.WRITE_BUFFER_BYTES = 1 << 17

if __name__ == "__main__":
    main()
