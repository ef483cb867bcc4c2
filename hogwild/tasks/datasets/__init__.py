"""The data sets that hogwild knows: files -> Data."""
