"""The data sets: the digits inside scikit-learn, and folders of photographs."""
