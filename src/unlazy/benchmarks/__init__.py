"""What frozen features are good for, against labels, boxes and masks."""
