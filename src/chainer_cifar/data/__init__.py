"""The way of the data: from the archive to augmented batches on the device."""
