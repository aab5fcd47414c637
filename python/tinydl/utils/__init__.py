"""Around the tensors: data loading (`data`) and optional libraries (`extras`)."""
