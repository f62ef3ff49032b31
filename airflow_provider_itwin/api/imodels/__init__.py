"""What the iModels API tells about the changes of an iModel, and names for its states."""
